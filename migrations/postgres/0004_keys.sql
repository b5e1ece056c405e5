-- Accounts are listed: a parent lists its own, whoever runs the server lists all.

CREATE INDEX accounts_by_parent ON accounts (parent, created, sid) WHERE parent IS NOT NULL;
CREATE INDEX accounts_by_creation ON accounts (created, sid);
