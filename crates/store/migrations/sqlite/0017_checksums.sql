-- What stored bytes are checked against. The event log's checksums are a column of its own tables.
-- Times are microseconds since the Unix epoch. Who writes what: docs/storage.md.

-- The CRC-32C of each 64 KiB of an object's bytes, 4 bytes each, little-endian, in order. A blob that was stored before
-- there were checksums gets its row from the scrub.
CREATE TABLE blob_checksums (
    object TEXT NOT NULL PRIMARY KEY,
    crc32c BLOB NOT NULL
) STRICT;

-- 1 when the client did not say what the bytes are, and the type was found by looking at them.
ALTER TABLE blobs ADD COLUMN is_type_guessed INTEGER NOT NULL DEFAULT 0;

-- One row: where the scrub is.
CREATE TABLE scrub (
    id INTEGER NOT NULL PRIMARY KEY CHECK (id = 1),
    started_at INTEGER NOT NULL,
    ended_at INTEGER,
    did TEXT NOT NULL,
    cid BLOB NOT NULL
) STRICT;
