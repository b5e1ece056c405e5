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
