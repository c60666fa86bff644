-- What an account's apps keep for it, private to it.
-- Who writes what: docs/storage.md.

CREATE TABLE preferences (
    did TEXT NOT NULL,
    kind TEXT NOT NULL,
    position INTEGER NOT NULL,
    json TEXT NOT NULL,
    PRIMARY KEY (did, kind, position)
) STRICT, WITHOUT ROWID;
