-- Who is connected to which node, as far as a chat service says who is online; and how long a node may be silent.

-- Belongs to no account. Times are the machine's, not an account's.
CREATE TABLE leases (
    node TEXT NOT NULL PRIMARY KEY,  -- random, another one at each start
    expires INTEGER NOT NULL,  -- unless it is renewed before
    ended INTEGER  -- it lapsed; never renewed again, and its presences are taken back in batches
) STRICT, WITHOUT ROWID;

CREATE TABLE presences (
    account INTEGER NOT NULL,
    user_sid TEXT NOT NULL,
    node TEXT NOT NULL,
    PRIMARY KEY (account, user_sid, node)
) STRICT, WITHOUT ROWID;
-- Not unique: a node is cleaned up after as a whole, whosever users were there.
CREATE INDEX presences_by_node ON presences (node, account, user_sid);
