-- What ends tokens before their time; entries die with the tokens that they name.

CREATE TABLE revocations (
    account INTEGER NOT NULL,
    sid TEXT NOT NULL,
    kind TEXT NOT NULL,                      -- token, session, identity, service, key, account
    value TEXT NOT NULL,                     -- jti, session, identity, SID of the service or key; empty
    service_sid TEXT NOT NULL,               -- of an identity; empty: of every chat service
    issued_before INTEGER NOT NULL,          -- tokens that were issued until then
    refuses INTEGER NOT NULL,                -- 0: it ends connections, and what refuses the tokens stands elsewhere
    created INTEGER NOT NULL,
    expires INTEGER,                         -- NULL: when it is taken back
    noted INTEGER NOT NULL,                  -- by the database's own clock, which all nodes share
    PRIMARY KEY (account, sid)
) STRICT, WITHOUT ROWID;
CREATE INDEX revocations_by_value ON revocations (account, kind, value);
-- Not unique, and of all accounts: each node reads what was noted since it last looked.
CREATE INDEX revocations_by_noted ON revocations (noted);
CREATE INDEX revocations_by_expiry ON revocations (account, expires) WHERE expires IS NOT NULL;
