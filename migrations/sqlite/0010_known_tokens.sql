-- Access Tokens that this server minted, while they live: what a revocation says that it ended, and how many people
-- share a jti. A row goes when its token is dead.

CREATE TABLE known_tokens (
    account INTEGER NOT NULL,
    fingerprint TEXT NOT NULL,               -- SHA-256 of the token, as hex digits
    jti TEXT NOT NULL,
    identity TEXT NOT NULL,
    service_sid TEXT NOT NULL,
    key_sid TEXT NOT NULL,
    session TEXT,                            -- the login session; NULL: of none
    issued INTEGER NOT NULL,
    expires INTEGER NOT NULL,
    ended_by TEXT,                           -- the revocation that ended it first; NULL: it lives
    PRIMARY KEY (account, fingerprint)
) STRICT, WITHOUT ROWID;
CREATE INDEX known_tokens_by_jti ON known_tokens (account, jti);
CREATE INDEX known_tokens_by_session ON known_tokens (account, session) WHERE session IS NOT NULL;
CREATE INDEX known_tokens_by_identity ON known_tokens (account, identity, expires);
CREATE INDEX known_tokens_by_expiry ON known_tokens (account, expires);
CREATE INDEX known_tokens_by_end ON known_tokens (account, ended_by) WHERE ended_by IS NOT NULL;
