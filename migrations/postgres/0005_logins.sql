-- Joining logins that exist already: whose an identity is, which key signs for them, and API tokens.

CREATE TABLE owners (
    account BIGINT NOT NULL,
    service_sid TEXT COLLATE "C" NOT NULL,
    identity TEXT COLLATE "C" NOT NULL,
    source TEXT COLLATE "C" NOT NULL,                    -- name of the source of logins
    subject TEXT COLLATE "C" NOT NULL,                   -- the source's own name for somebody
    created BIGINT NOT NULL,
    PRIMARY KEY (account, service_sid, identity)
);

CREATE TABLE signers (
    account BIGINT NOT NULL PRIMARY KEY,
    key_sid TEXT COLLATE "C" NOT NULL,                   -- signs what the token endpoint mints
    created BIGINT NOT NULL
);

CREATE TABLE api_tokens (
    account BIGINT NOT NULL,
    id TEXT COLLATE "C" NOT NULL,                        -- 16 hex digits, part of the token
    hash BYTEA NOT NULL,                      -- SHA-256 of the whole token
    subject TEXT COLLATE "C" NOT NULL,
    facts TEXT COLLATE "C" NOT NULL,                     -- a JSON object
    friendly_name TEXT COLLATE "C" NOT NULL,
    expires BIGINT,                         -- NULL: never
    created BIGINT NOT NULL,
    PRIMARY KEY (account, id)
);
