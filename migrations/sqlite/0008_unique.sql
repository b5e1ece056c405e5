-- What may be there only once is unique in the schema (docs/decisions/0018). Where an index on the same columns
-- was there already it becomes unique, so that a write keeps as many indexes as before.

-- Credentials and tokens name an account or a key by SID before its account is known, and an import brings SIDs
-- from elsewhere: these are unique in the whole database.
DROP INDEX accounts_by_sid;
CREATE UNIQUE INDEX accounts_by_sid ON accounts (sid);
DROP INDEX keys_by_sid;
CREATE UNIQUE INDEX keys_by_sid ON keys (sid);
CREATE UNIQUE INDEX services_by_sid ON services (sid);
CREATE UNIQUE INDEX roles_by_sid ON roles (sid);

DROP INDEX messages_by_sid;
CREATE UNIQUE INDEX messages_by_sid ON messages (account, conversation_sid, sid);

-- A user takes part in a conversation once. Who left has a tombstone for each time.
DROP INDEX participants_by_user;
CREATE UNIQUE INDEX participants_by_user ON participants (account, user_sid, conversation_sid) WHERE removed IS NULL;

-- Every change takes a position of its own: with two changes at one position, whoever catches up could miss one.
DROP INDEX participants_changed;
CREATE UNIQUE INDEX participants_changed ON participants (account, conversation_sid, roster_changed_pos);
DROP INDEX participants_mine_changed;
CREATE UNIQUE INDEX participants_mine_changed ON participants (account, user_sid, mine_changed_pos);
DROP INDEX messages_changed;
CREATE UNIQUE INDEX messages_changed ON messages (account, conversation_sid, changed_pos)
    WHERE changed_pos > created_pos;

-- Dev mode only: the key that all dev servers on this database seal with. It lies beside what it seals, so it
-- protects nothing; NULL in a database that dev mode has never used.
ALTER TABLE installation ADD COLUMN dev_seal_key BLOB;
