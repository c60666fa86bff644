-- Relays that the operator named, and how far each was told that there is something to fetch.

CREATE TABLE relays (
    url TEXT NOT NULL PRIMARY KEY,
    told_seq INTEGER NOT NULL,
    last_try_at INTEGER NOT NULL,
    last_success_at INTEGER,
    last_error TEXT,
    failures INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
