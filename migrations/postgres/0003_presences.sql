-- Who is connected to which node, as far as a chat service says who is online; and how long a node may be silent.

-- Belongs to no account. Times are the machine's, not an account's.
CREATE TABLE leases (
    node TEXT COLLATE "C" NOT NULL PRIMARY KEY,  -- random, another one at each start
    expires BIGINT NOT NULL,  -- unless it is renewed before
    ended BIGINT  -- it lapsed; never renewed again, and its presences are taken back in batches
);

CREATE TABLE presences (
    account BIGINT NOT NULL,
    user_sid TEXT COLLATE "C" NOT NULL,
    node TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (account, user_sid, node)
);
-- Not unique: a node is cleaned up after as a whole, whosever users were there.
CREATE INDEX presences_by_node ON presences (node, account, user_sid);
