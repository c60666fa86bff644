-- Accounts that wait to be let in. Times are microseconds since the Unix epoch. Who writes what: docs/storage.md.

CREATE TABLE sign_up_queue (
    did TEXT PRIMARY KEY,
    since INTEGER NOT NULL,
    operation TEXT,
    moves_in INTEGER NOT NULL,
    let_in_at INTEGER,
    next_try_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    last_error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX sign_up_queue_by_age ON sign_up_queue (since, did);
CREATE INDEX sign_up_queue_by_next_try ON sign_up_queue (next_try_at) WHERE let_in_at IS NOT NULL;
