-- Every did:web that was ever made here, kept for good so that none is given to a second person; and what its document
-- says once the identity has moved to another server. Times are microseconds since the Unix epoch.
-- Who writes what: docs/storage.md.

CREATE TABLE did_web_documents (
    did TEXT NOT NULL PRIMARY KEY,
    created_at INTEGER NOT NULL,
    endpoint TEXT,
    signing_key TEXT,
    handle TEXT,
    CHECK ((endpoint IS NULL) = (signing_key IS NULL) AND (endpoint IS NULL) = (handle IS NULL))
) STRICT, WITHOUT ROWID;
