-- Durable jobs: what must follow a change, and survives the node that began it.

CREATE TABLE jobs (
    account INTEGER NOT NULL,  -- 0: of the whole installation
    kind TEXT NOT NULL,
    job_key TEXT NOT NULL,     -- which thing it is about, such as a SID
    due INTEGER NOT NULL,      -- by the account's clock
    attempts INTEGER NOT NULL, -- since it last succeeded
    fence INTEGER NOT NULL,    -- grows by one with each claim: writes of an older one are refused
    enqueued INTEGER NOT NULL, -- grows by one whenever it is asked for again
    leased_until INTEGER,      -- by the machine's clock; NULL while nobody runs it
    PRIMARY KEY (account, kind, job_key)
) STRICT, WITHOUT ROWID;
-- Not unique: the earliest of all accounts come first.
CREATE INDEX jobs_by_due ON jobs (due);
-- Not unique: leases may end together. Finds what a node that died was running.
CREATE INDEX jobs_leased ON jobs (leased_until) WHERE leased_until IS NOT NULL;

-- What was kept track of in other ways until now.
INSERT INTO jobs (account, kind, job_key, due, attempts, fence, enqueued)
    SELECT account, 'conversation_timer', sid, due, 0, 0, 1 FROM conversations WHERE due IS NOT NULL;
INSERT INTO jobs (account, kind, job_key, due, attempts, fence, enqueued)
    SELECT account, 'purge_conversation', sid, removed, 0, 0, 1 FROM conversations
    WHERE removed IS NOT NULL AND purged = 0;
INSERT INTO jobs (account, kind, job_key, due, attempts, fence, enqueued)
    SELECT account, 'purge_service', sid, removed, 0, 0, 1 FROM services WHERE removed IS NOT NULL;
DROP INDEX conversations_due;
ALTER TABLE conversations DROP COLUMN due;
