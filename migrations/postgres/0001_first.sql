-- The first shape. The account, an internal number, leads every primary key and every unique index;
-- no foreign key and no trigger. Times are microseconds since 1970, flags 0 or 1, attributes JSON text
-- kept byte for byte. A column ending in _pos holds a position in one of the four streams
-- (talk of a conversation, roster of a conversation, mine and info of a user); docs/storage.md.

CREATE TABLE installation (
    one BIGINT NOT NULL PRIMARY KEY,        -- always 1
    id TEXT COLLATE "C" NOT NULL,                        -- clients' caches are bound to it; a restore changes it
    created BIGINT NOT NULL
);

CREATE TABLE accounts (
    account BIGINT NOT NULL PRIMARY KEY,
    sid TEXT COLLATE "C" NOT NULL,
    parent BIGINT,                          -- the owner's number, for a subaccount
    friendly_name TEXT COLLATE "C" NOT NULL,
    status TEXT COLLATE "C" NOT NULL,                    -- active, suspended, closed
    auth_token BYTEA NOT NULL,                -- sealed
    secondary_auth_token BYTEA,               -- sealed
    default_service_sid TEXT COLLATE "C",
    default_messaging_service_sid TEXT COLLATE "C",
    default_inactive_timer TEXT COLLATE "C",
    default_closed_timer TEXT COLLATE "C",
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL
);
-- Not unique: credentials name an account by SID before its number is known.
CREATE INDEX accounts_by_sid ON accounts (sid);

CREATE TABLE keys (
    account BIGINT NOT NULL,
    sid TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,                      -- main, standard, restricted
    friendly_name TEXT COLLATE "C" NOT NULL,
    secret BYTEA NOT NULL,                    -- sealed
    policy TEXT COLLATE "C",                             -- JSON, of a restricted key
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    PRIMARY KEY (account, sid)
);
-- Not unique: a token or a login names a key before its account is known.
CREATE INDEX keys_by_sid ON keys (sid);

CREATE TABLE services (
    account BIGINT NOT NULL,
    sid TEXT COLLATE "C" NOT NULL,
    friendly_name TEXT COLLATE "C" NOT NULL,
    conversation_creator_role_sid TEXT COLLATE "C" NOT NULL,
    conversation_role_sid TEXT COLLATE "C" NOT NULL,
    service_role_sid TEXT COLLATE "C" NOT NULL,
    reachability_enabled BIGINT NOT NULL,
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    removed BIGINT,                         -- when it was deleted; its rows are purged in batches
    PRIMARY KEY (account, sid)
);

CREATE TABLE roles (
    account BIGINT NOT NULL,
    sid TEXT COLLATE "C" NOT NULL,
    service_sid TEXT COLLATE "C" NOT NULL,
    friendly_name TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,                      -- service, conversation
    permissions TEXT COLLATE "C" NOT NULL,               -- space-separated words
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    PRIMARY KEY (account, sid)
);
CREATE INDEX roles_by_service ON roles (account, service_sid, created, sid);

CREATE TABLE users (
    account BIGINT NOT NULL,
    sid TEXT COLLATE "C" NOT NULL,
    service_sid TEXT COLLATE "C" NOT NULL,
    identity TEXT COLLATE "C" NOT NULL,
    friendly_name TEXT COLLATE "C",
    attributes TEXT COLLATE "C" NOT NULL,
    role_sid TEXT COLLATE "C" NOT NULL,
    online BIGINT,                          -- NULL: never seen
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    mine_position BIGINT NOT NULL,          -- counter of the stream `mine`
    conversations_count BIGINT NOT NULL,
    info_position BIGINT NOT NULL,          -- counter of the stream `info`
    friendly_name_pos BIGINT NOT NULL,
    attributes_pos BIGINT NOT NULL,
    online_pos BIGINT NOT NULL,
    removed BIGINT,
    PRIMARY KEY (account, sid)
);
CREATE UNIQUE INDEX users_by_identity ON users (account, service_sid, identity) WHERE removed IS NULL;
CREATE INDEX users_by_service ON users (account, service_sid, created, sid) WHERE removed IS NULL;
CREATE INDEX users_by_role ON users (account, service_sid, role_sid) WHERE removed IS NULL;

CREATE TABLE conversations (
    account BIGINT NOT NULL,
    sid TEXT COLLATE "C" NOT NULL,
    service_sid TEXT COLLATE "C" NOT NULL,
    friendly_name TEXT COLLATE "C",
    unique_name TEXT COLLATE "C",
    attributes TEXT COLLATE "C" NOT NULL,
    messaging_service_sid TEXT COLLATE "C",
    state TEXT COLLATE "C" NOT NULL,                     -- active, inactive, closed
    state_since BIGINT NOT NULL,
    inactive_timer TEXT COLLATE "C",                     -- ISO 8601 duration, as given
    closed_timer TEXT COLLATE "C",
    bindings TEXT COLLATE "C",                           -- JSON, such as an e-mail address
    created_by TEXT COLLATE "C" NOT NULL,                -- identity, or system
    created_by_user TEXT COLLATE "C",                   -- the SDK user behind that identity; NULL: REST, or removed
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    position BIGINT NOT NULL,               -- counter of the stream `talk`
    last_index BIGINT NOT NULL,             -- -1 before the first message
    last_message_at BIGINT,                -- its own date, which an importer may set
    active_at BIGINT NOT NULL,              -- what timers count from: a message came, state or timers were set
    messages_count BIGINT NOT NULL,         -- without removed ones
    removed BIGINT,                         -- when it was deleted; its rows are purged in batches
    purged BIGINT NOT NULL,
    PRIMARY KEY (account, sid)
);
CREATE UNIQUE INDEX conversations_by_name ON conversations (account, service_sid, unique_name)
    WHERE unique_name IS NOT NULL AND removed IS NULL;
CREATE INDEX conversations_by_service ON conversations (account, service_sid, created, sid)
    WHERE removed IS NULL;
CREATE INDEX conversations_to_purge ON conversations (account, sid) WHERE removed IS NOT NULL AND purged = 0;

-- Apart from the conversation, so that a read horizon never waits for a message.
CREATE TABLE rosters (
    account BIGINT NOT NULL,
    conversation_sid TEXT COLLATE "C" NOT NULL,
    position BIGINT NOT NULL,               -- counter of the stream `roster`
    participants_count BIGINT NOT NULL,
    PRIMARY KEY (account, conversation_sid)
);

-- One row serves the roster and the user's own list. Who left keeps an emptied row: the tombstone.
CREATE TABLE participants (
    account BIGINT NOT NULL,
    conversation_sid TEXT COLLATE "C" NOT NULL,
    sid TEXT COLLATE "C" NOT NULL,
    service_sid TEXT COLLATE "C" NOT NULL,
    identity TEXT COLLATE "C",                           -- NULL: another messenger's, or a tombstone
    user_sid TEXT COLLATE "C",                           -- kept in the tombstone
    binding TEXT COLLATE "C",                            -- JSON, of another messenger's participant
    address TEXT COLLATE "C",                            -- from the binding, to be found by
    proxy_address TEXT COLLATE "C",
    role_sid TEXT COLLATE "C",
    attributes TEXT COLLATE "C" NOT NULL,
    last_read_index BIGINT,
    last_read_at BIGINT,
    notification_level TEXT COLLATE "C" NOT NULL,        -- default, muted
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    roster_created_pos BIGINT NOT NULL,
    roster_changed_pos BIGINT NOT NULL,
    mine_created_pos BIGINT NOT NULL,
    mine_changed_pos BIGINT NOT NULL,
    removed BIGINT,
    PRIMARY KEY (account, conversation_sid, sid)
);
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
    account BIGINT NOT NULL,
    conversation_sid TEXT COLLATE "C" NOT NULL,
    idx BIGINT NOT NULL,
    sid TEXT COLLATE "C" NOT NULL,
    author TEXT COLLATE "C" NOT NULL,
    participant_sid TEXT COLLATE "C",
    body TEXT COLLATE "C",
    attributes TEXT COLLATE "C" NOT NULL,
    subject TEXT COLLATE "C",
    created BIGINT NOT NULL,
    updated BIGINT NOT NULL,
    updated_by TEXT COLLATE "C",
    created_pos BIGINT NOT NULL,
    changed_pos BIGINT NOT NULL,
    removed BIGINT,                         -- the tombstone keeps no body, attributes or names
    PRIMARY KEY (account, conversation_sid, idx)
);
CREATE INDEX messages_by_sid ON messages (account, conversation_sid, sid);
-- Edits and removals only: new messages are found by walking the primary key backwards.
CREATE INDEX messages_changed ON messages (account, conversation_sid, changed_pos) WHERE changed_pos > created_pos;
CREATE INDEX messages_removed ON messages (account, conversation_sid, idx) WHERE removed IS NOT NULL;
