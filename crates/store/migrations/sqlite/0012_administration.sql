-- The operator's and moderators' tokens, what was done with them, and bytes that nobody may upload.
-- Times are microseconds since the Unix epoch. Who writes what: docs/storage.md.

CREATE TABLE admin_tokens (
    name TEXT NOT NULL PRIMARY KEY,
    token_hash BLOB NOT NULL,
    scope INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX admin_tokens_by_hash ON admin_tokens (token_hash);

CREATE TABLE audit (
    at INTEGER NOT NULL,
    nonce BLOB NOT NULL,
    actor TEXT NOT NULL,
    method TEXT NOT NULL,
    subject TEXT NOT NULL,
    outcome TEXT NOT NULL,
    PRIMARY KEY (at, nonce)
) STRICT, WITHOUT ROWID;

-- A takedown of a blob is of its bytes, wherever they are.
CREATE TABLE denied_blobs (
    cid BLOB NOT NULL PRIMARY KEY,
    did TEXT NOT NULL,
    takedown_ref TEXT NOT NULL,
    denied_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO denied_blobs (cid, did, takedown_ref, denied_at)
    SELECT cid, did, takedown_ref, created_at FROM blobs WHERE takedown_ref IS NOT NULL;
ALTER TABLE blobs DROP COLUMN takedown_ref;

CREATE INDEX invite_codes_by_account ON invite_codes (for_account);
