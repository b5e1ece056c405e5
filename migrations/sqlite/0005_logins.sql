-- Joining logins that exist already: whose an identity is, which key signs for them, and API tokens.

CREATE TABLE owners (
    account INTEGER NOT NULL,
    service_sid TEXT NOT NULL,
    identity TEXT NOT NULL,
    source TEXT NOT NULL,                    -- name of the source of logins
    subject TEXT NOT NULL,                   -- the source's own name for somebody
    created INTEGER NOT NULL,
    PRIMARY KEY (account, service_sid, identity)
) STRICT, WITHOUT ROWID;

CREATE TABLE signers (
    account INTEGER NOT NULL PRIMARY KEY,
    key_sid TEXT NOT NULL,                   -- signs what the token endpoint mints
    created INTEGER NOT NULL
) STRICT;

CREATE TABLE api_tokens (
    account INTEGER NOT NULL,
    id TEXT NOT NULL,                        -- 16 hex digits, part of the token
    hash BLOB NOT NULL,                      -- SHA-256 of the whole token
    subject TEXT NOT NULL,
    facts TEXT NOT NULL,                     -- a JSON object
    friendly_name TEXT NOT NULL,
    expires INTEGER,                         -- NULL: never
    created INTEGER NOT NULL,
    PRIMARY KEY (account, id)
) STRICT, WITHOUT ROWID;
