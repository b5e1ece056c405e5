-- The first shape. The account, an internal number, leads every primary key and every unique index;
-- no foreign key and no trigger. Times are microseconds since 1970, flags 0 or 1, attributes JSON text
-- kept byte for byte. A column ending in _pos holds a position in one of the four streams
-- (talk of a conversation, roster of a conversation, mine and info of a user); docs/storage.md.

CREATE TABLE installation (
    one INTEGER NOT NULL PRIMARY KEY,        -- always 1
    id TEXT NOT NULL,                        -- clients' caches are bound to it; a restore changes it
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE accounts (
    account INTEGER NOT NULL PRIMARY KEY,
    sid TEXT NOT NULL,
    parent INTEGER,                          -- the owner's number, for a subaccount
    friendly_name TEXT NOT NULL,
    status TEXT NOT NULL,                    -- active, suspended, closed
    auth_token BLOB NOT NULL,                -- sealed
    secondary_auth_token BLOB,               -- sealed
    default_service_sid TEXT,
    default_messaging_service_sid TEXT,
    default_inactive_timer TEXT,
    default_closed_timer TEXT,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL
) STRICT;
-- Not unique: credentials name an account by SID before its number is known.
CREATE INDEX accounts_by_sid ON accounts (sid);

CREATE TABLE keys (
    account INTEGER NOT NULL,
    sid TEXT NOT NULL,
    kind TEXT NOT NULL,                      -- main, standard, restricted
    friendly_name TEXT NOT NULL,
    secret BLOB NOT NULL,                    -- sealed
    policy TEXT,                             -- JSON, of a restricted key
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (account, sid)
) STRICT, WITHOUT ROWID;
-- Not unique: a token or a login names a key before its account is known.
CREATE INDEX keys_by_sid ON keys (sid);

CREATE TABLE services (
    account INTEGER NOT NULL,
    sid TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    conversation_creator_role_sid TEXT NOT NULL,
    conversation_role_sid TEXT NOT NULL,
    service_role_sid TEXT NOT NULL,
    reachability_enabled INTEGER NOT NULL,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    removed INTEGER,                         -- when it was deleted; its rows are purged in batches
    PRIMARY KEY (account, sid)
) STRICT, WITHOUT ROWID;

CREATE TABLE roles (
    account INTEGER NOT NULL,
    sid TEXT NOT NULL,
    service_sid TEXT NOT NULL,
    friendly_name TEXT NOT NULL,
    kind TEXT NOT NULL,                      -- service, conversation
    permissions TEXT NOT NULL,               -- space-separated words
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    PRIMARY KEY (account, sid)
) STRICT, WITHOUT ROWID;
CREATE INDEX roles_by_service ON roles (account, service_sid, created, sid);

CREATE TABLE users (
    account INTEGER NOT NULL,
    sid TEXT NOT NULL,
    service_sid TEXT NOT NULL,
    identity TEXT NOT NULL,
    friendly_name TEXT,
    attributes TEXT NOT NULL,
    role_sid TEXT NOT NULL,
    online INTEGER,                          -- NULL: never seen
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    mine_position INTEGER NOT NULL,          -- counter of the stream `mine`
    conversations_count INTEGER NOT NULL,
    info_position INTEGER NOT NULL,          -- counter of the stream `info`
    friendly_name_pos INTEGER NOT NULL,
    attributes_pos INTEGER NOT NULL,
    online_pos INTEGER NOT NULL,
    removed INTEGER,
    PRIMARY KEY (account, sid)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX users_by_identity ON users (account, service_sid, identity) WHERE removed IS NULL;
CREATE INDEX users_by_service ON users (account, service_sid, created, sid) WHERE removed IS NULL;
CREATE INDEX users_by_role ON users (account, service_sid, role_sid) WHERE removed IS NULL;

CREATE TABLE conversations (
    account INTEGER NOT NULL,
    sid TEXT NOT NULL,
    service_sid TEXT NOT NULL,
    friendly_name TEXT,
    unique_name TEXT,
    attributes TEXT NOT NULL,
    messaging_service_sid TEXT,
    state TEXT NOT NULL,                     -- active, inactive, closed
    state_since INTEGER NOT NULL,
    inactive_timer TEXT,                     -- ISO 8601 duration, as given
    closed_timer TEXT,
    bindings TEXT,                           -- JSON, such as an e-mail address
    created_by TEXT NOT NULL,                -- identity, or system
    created_by_user TEXT,                   -- the SDK user behind that identity; NULL: REST, or removed
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    position INTEGER NOT NULL,               -- counter of the stream `talk`
    last_index INTEGER NOT NULL,             -- -1 before the first message
    last_message_at INTEGER,                -- its own date, which an importer may set
    active_at INTEGER NOT NULL,              -- what timers count from: a message came, state or timers were set
    messages_count INTEGER NOT NULL,         -- without removed ones
    removed INTEGER,                         -- when it was deleted; its rows are purged in batches
    purged INTEGER NOT NULL,
    PRIMARY KEY (account, sid)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX conversations_by_name ON conversations (account, service_sid, unique_name)
    WHERE unique_name IS NOT NULL AND removed IS NULL;
CREATE INDEX conversations_by_service ON conversations (account, service_sid, created, sid)
    WHERE removed IS NULL;
CREATE INDEX conversations_to_purge ON conversations (account, sid) WHERE removed IS NOT NULL AND purged = 0;

-- Apart from the conversation, so that a read horizon never waits for a message.
CREATE TABLE rosters (
    account INTEGER NOT NULL,
    conversation_sid TEXT NOT NULL,
    position INTEGER NOT NULL,               -- counter of the stream `roster`
    participants_count INTEGER NOT NULL,
    PRIMARY KEY (account, conversation_sid)
) STRICT, WITHOUT ROWID;

-- One row serves the roster and the user's own list. Who left keeps an emptied row: the tombstone.
CREATE TABLE participants (
    account INTEGER NOT NULL,
    conversation_sid TEXT NOT NULL,
    sid TEXT NOT NULL,
    service_sid TEXT NOT NULL,
    identity TEXT,                           -- NULL: another messenger's, or a tombstone
    user_sid TEXT,                           -- kept in the tombstone
    binding TEXT,                            -- JSON, of another messenger's participant
    address TEXT,                            -- from the binding, to be found by
    proxy_address TEXT,
    role_sid TEXT,
    attributes TEXT NOT NULL,
    last_read_index INTEGER,
    last_read_at INTEGER,
    notification_level TEXT NOT NULL,        -- default, muted
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    roster_created_pos INTEGER NOT NULL,
    roster_changed_pos INTEGER NOT NULL,
    mine_created_pos INTEGER NOT NULL,
    mine_changed_pos INTEGER NOT NULL,
    removed INTEGER,
    PRIMARY KEY (account, conversation_sid, sid)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX participants_by_identity ON participants (account, conversation_sid, identity)
    WHERE removed IS NULL AND identity IS NOT NULL;
CREATE INDEX participants_by_user ON participants (account, user_sid, conversation_sid) WHERE removed IS NULL;
CREATE INDEX participants_by_address ON participants (account, address, proxy_address, conversation_sid, sid)
    WHERE removed IS NULL AND address IS NOT NULL;
CREATE INDEX participants_by_role ON participants (account, service_sid, role_sid)
    WHERE removed IS NULL AND role_sid IS NOT NULL;
CREATE INDEX participants_changed ON participants (account, conversation_sid, roster_changed_pos);
CREATE INDEX participants_mine_changed ON participants (account, user_sid, mine_changed_pos);

CREATE TABLE messages (
    account INTEGER NOT NULL,
    conversation_sid TEXT NOT NULL,
    idx INTEGER NOT NULL,
    sid TEXT NOT NULL,
    author TEXT NOT NULL,
    participant_sid TEXT,
    body TEXT,
    attributes TEXT NOT NULL,
    subject TEXT,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    updated_by TEXT,
    created_pos INTEGER NOT NULL,
    changed_pos INTEGER NOT NULL,
    removed INTEGER,                         -- the tombstone keeps no body, attributes or names
    PRIMARY KEY (account, conversation_sid, idx)
) STRICT, WITHOUT ROWID;
CREATE INDEX messages_by_sid ON messages (account, conversation_sid, sid);
-- Edits and removals only: new messages are found by walking the primary key backwards.
CREATE INDEX messages_changed ON messages (account, conversation_sid, changed_pos) WHERE changed_pos > created_pos;
CREATE INDEX messages_removed ON messages (account, conversation_sid, idx) WHERE removed IS NOT NULL;
