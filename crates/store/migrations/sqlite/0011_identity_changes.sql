-- Changes of identities that a directory has to take before they are made here; and handles that nobody has any more,
-- held for the one who had them. Times are microseconds since the Unix epoch. Who writes what: docs/storage.md.

ALTER TABLE handles ADD COLUMN held_until INTEGER;
CREATE INDEX handles_by_held_until ON handles (held_until) WHERE held_until IS NOT NULL;

CREATE TABLE identity_changes (
    did TEXT NOT NULL PRIMARY KEY,
    operation TEXT NOT NULL,
    handle TEXT,
    handle_held_until INTEGER,
    did_key TEXT,
    wrapped BLOB,
    created_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    last_error TEXT
) STRICT, WITHOUT ROWID;
CREATE INDEX identity_changes_by_next_try ON identity_changes (next_try_at);
