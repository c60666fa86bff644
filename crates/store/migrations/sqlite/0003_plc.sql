-- The did:plc directory's log. It has a database file of its own; in a server's file these tables stay empty.
-- Times are microseconds since the Unix epoch. Who writes what: docs/storage.md.

CREATE TABLE plc_operations (
    seq INTEGER NOT NULL PRIMARY KEY,
    did TEXT NOT NULL,
    cid TEXT NOT NULL,
    operation TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    nullified INTEGER NOT NULL
) STRICT;
CREATE UNIQUE INDEX plc_operations_by_cid ON plc_operations (did, cid);
CREATE INDEX plc_operations_by_did ON plc_operations (did, seq);
CREATE INDEX plc_operations_by_age ON plc_operations (created_at, seq);

-- The operation that was taken last, undone or not: what a new one is compared and swapped against.
CREATE TABLE plc_heads (
    did TEXT NOT NULL PRIMARY KEY,
    head TEXT NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE plc_counter (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    seq INTEGER NOT NULL
) STRICT;
INSERT INTO plc_counter (id, seq) VALUES (1, 0);
