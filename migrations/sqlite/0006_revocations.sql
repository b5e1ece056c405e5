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

-- What happened to tokens, keys, accounts and roles. Rows are only ever added, and go after the time of
-- audit.retention_days. Never a secret or a token in it.
CREATE TABLE audit (
    account INTEGER NOT NULL,
    sid TEXT NOT NULL,
    created INTEGER NOT NULL,
    event TEXT NOT NULL,                     -- token.minted, key.deleted, …
    actor TEXT NOT NULL,                     -- account, system, or the SID of a key or user
    source TEXT,                             -- the source of logins that said who it is
    rule TEXT,                               -- the rule that decided
    identity TEXT,
    service_sid TEXT,
    key_sid TEXT,
    jti TEXT,
    target TEXT,                             -- what it was done to
    address TEXT,
    code INTEGER,                            -- what was answered to a refused token
    detail TEXT,                             -- JSON
    PRIMARY KEY (account, sid)
) STRICT, WITHOUT ROWID;
CREATE INDEX audit_by_time ON audit (account, created, sid);

-- What is known of a key's use. Written at most once a minute for each key and node; 0: never.
CREATE TABLE key_evidence (
    account INTEGER NOT NULL,
    key_sid TEXT NOT NULL,
    last_minted INTEGER NOT NULL,            -- by this server
    last_used INTEGER NOT NULL,              -- a token of it came in
    last_called INTEGER NOT NULL,            -- over REST
    latest_expiry INTEGER NOT NULL,          -- of the tokens that were minted here or came in
    PRIMARY KEY (account, key_sid)
) STRICT, WITHOUT ROWID;

-- Whom a provider logs out.
CREATE INDEX owners_by_subject ON owners (account, source, subject);
