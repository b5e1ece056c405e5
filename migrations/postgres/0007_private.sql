-- Conversations are private: whoever was not added sees nothing of them.

-- 1: users who hold joinConversation may look at conversations and join them without being added.
ALTER TABLE services ADD COLUMN open_conversations BIGINT NOT NULL DEFAULT 0;
-- Of a tombstone: 1 when the user left, 0 when somebody else removed the user. Those that are there already count as
-- removed, so that nobody comes back who must not.
ALTER TABLE participants ADD COLUMN has_left BIGINT NOT NULL DEFAULT 0;
