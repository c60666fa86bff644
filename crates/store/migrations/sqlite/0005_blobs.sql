-- Blobs: what was uploaded, which records refer to it, and how much each account holds.
-- Times are microseconds since the Unix epoch. Who writes what: docs/storage.md.

CREATE TABLE blobs (
    did TEXT NOT NULL,
    cid BLOB NOT NULL,
    mime_type TEXT NOT NULL,
    size INTEGER NOT NULL,
    object TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    unreferenced_since INTEGER,
    takedown_ref TEXT,
    PRIMARY KEY (did, cid)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX blobs_by_object ON blobs (object);
CREATE INDEX blobs_unreferenced ON blobs (unreferenced_since) WHERE unreferenced_since IS NOT NULL;

-- A row may be there without its blob: a record that was imported before its blobs.
CREATE TABLE record_blobs (
    record_set INTEGER NOT NULL,
    cid BLOB NOT NULL,
    path TEXT NOT NULL,
    rev INTEGER NOT NULL,
    PRIMARY KEY (record_set, cid, path)
) STRICT, WITHOUT ROWID;
CREATE INDEX record_blobs_by_record ON record_blobs (record_set, path);

CREATE TABLE blob_usage (
    did TEXT NOT NULL PRIMARY KEY,
    bytes INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
