-- When the server must look at a conversation's timers, by its account's clock; NULL while none runs. What
-- is found earlier than its time is noted anew, so for conversations that are there already "now" will do.

ALTER TABLE conversations ADD COLUMN due INTEGER;
UPDATE conversations SET due = active_at WHERE removed IS NULL AND (
    (state = 'active' AND inactive_timer IS NOT NULL) OR (state <> 'closed' AND closed_timer IS NOT NULL));
CREATE INDEX conversations_due ON conversations (account, due) WHERE due IS NOT NULL;
