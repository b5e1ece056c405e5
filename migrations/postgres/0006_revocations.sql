-- What ends tokens before their time; entries die with the tokens that they name.

CREATE TABLE revocations (
    account BIGINT NOT NULL,
    sid TEXT COLLATE "C" NOT NULL,
    kind TEXT COLLATE "C" NOT NULL,                      -- token, session, identity, service, key, account
    value TEXT COLLATE "C" NOT NULL,                     -- jti, session, identity, SID of the service or key; empty
    service_sid TEXT COLLATE "C" NOT NULL,               -- of an identity; empty: of every chat service
    issued_before BIGINT NOT NULL,          -- tokens that were issued until then
    refuses BIGINT NOT NULL,                -- 0: it ends connections, and what refuses the tokens stands elsewhere
    created BIGINT NOT NULL,
    expires BIGINT,                         -- NULL: when it is taken back
    noted BIGINT NOT NULL,                  -- by the database's own clock, which all nodes share
    PRIMARY KEY (account, sid)
);
CREATE INDEX revocations_by_value ON revocations (account, kind, value);
-- Not unique, and of all accounts: each node reads what was noted since it last looked.
CREATE INDEX revocations_by_noted ON revocations (noted);
CREATE INDEX revocations_by_expiry ON revocations (account, expires) WHERE expires IS NOT NULL;

-- What happened to tokens, keys, accounts and roles. Rows are only ever added, and go after the time of
-- audit.retention_days. Never a secret or a token in it.
CREATE TABLE audit (
    account BIGINT NOT NULL,
    sid TEXT COLLATE "C" NOT NULL,
    created BIGINT NOT NULL,
    event TEXT COLLATE "C" NOT NULL,                     -- token.minted, key.deleted, …
    actor TEXT COLLATE "C" NOT NULL,                     -- account, system, or the SID of a key or user
    source TEXT COLLATE "C",                             -- the source of logins that said who it is
    rule TEXT COLLATE "C",                               -- the rule that decided
    identity TEXT COLLATE "C",
    service_sid TEXT COLLATE "C",
    key_sid TEXT COLLATE "C",
    jti TEXT COLLATE "C",
    target TEXT COLLATE "C",                             -- what it was done to
    address TEXT COLLATE "C",
    code BIGINT,                            -- what was answered to a refused token
    detail TEXT COLLATE "C",                             -- JSON
    PRIMARY KEY (account, sid)
);
CREATE INDEX audit_by_time ON audit (account, created, sid);

-- What is known of a key's use. Written at most once a minute for each key and node; 0: never.
CREATE TABLE key_evidence (
    account BIGINT NOT NULL,
    key_sid TEXT COLLATE "C" NOT NULL,
    last_minted BIGINT NOT NULL,            -- by this server
    last_used BIGINT NOT NULL,              -- a token of it came in
    last_called BIGINT NOT NULL,            -- over REST
    latest_expiry BIGINT NOT NULL,          -- of the tokens that were minted here or came in
    PRIMARY KEY (account, key_sid)
);

-- Whom a provider logs out.
CREATE INDEX owners_by_subject ON owners (account, source, subject);
