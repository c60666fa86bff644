-- Accounts, names, invites, sign-ups, sessions, keys and repositories.
-- Times are microseconds since the Unix epoch. Who writes what: docs/storage.md.

CREATE TABLE accounts (
    did TEXT NOT NULL PRIMARY KEY,
    handle TEXT NOT NULL,
    email TEXT,
    password_hash TEXT,
    created_at INTEGER NOT NULL,
    email_confirmed_at INTEGER,
    deactivated_at INTEGER,
    delete_after INTEGER,
    takedown_ref TEXT,
    invite_code TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX accounts_by_handle ON accounts (handle);
CREATE INDEX accounts_by_age ON accounts (created_at, did);
CREATE INDEX accounts_by_delete_after ON accounts (delete_after) WHERE delete_after IS NOT NULL;

-- A name belongs to one DID from the moment a sign-up reserves it.
CREATE TABLE handles (
    handle TEXT NOT NULL PRIMARY KEY,
    did TEXT NOT NULL,
    held_since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX handles_by_did ON handles (did);

CREATE TABLE emails (
    email_key TEXT NOT NULL PRIMARY KEY,
    did TEXT NOT NULL,
    held_since INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX emails_by_did ON emails (did);

CREATE TABLE invite_codes (
    code TEXT NOT NULL PRIMARY KEY,
    uses_max INTEGER NOT NULL,
    uses_left INTEGER NOT NULL CHECK (uses_left >= 0),
    disabled INTEGER NOT NULL,
    for_account TEXT NOT NULL,
    created_by TEXT NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX invite_codes_by_age ON invite_codes (created_at, code);

CREATE TABLE invite_code_uses (
    code TEXT NOT NULL,
    used_by TEXT NOT NULL,
    used_at INTEGER NOT NULL,
    PRIMARY KEY (code, used_by)
) STRICT, WITHOUT ROWID;

-- A sign-up under way, or done but perhaps never answered (state 3).
CREATE TABLE sign_ups (
    did TEXT NOT NULL PRIMARY KEY,
    state INTEGER NOT NULL,
    driver TEXT,
    handle TEXT NOT NULL,
    email TEXT,
    email_key TEXT,
    password_hash TEXT,
    invite_code TEXT,
    operation TEXT NOT NULL,
    key_origin INTEGER NOT NULL,
    deactivated INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    deadline INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    last_error TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX sign_ups_by_handle ON sign_ups (handle) WHERE state < 3;
CREATE INDEX sign_ups_answered ON sign_ups (handle, created_at);
CREATE INDEX sign_ups_by_next_try ON sign_ups (next_try_at);

CREATE TABLE sessions (
    token_hash BLOB NOT NULL PRIMARY KEY,
    family TEXT NOT NULL,
    did TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    next_hash BLOB
) STRICT, WITHOUT ROWID;
CREATE INDEX sessions_by_family ON sessions (family);
CREATE INDEX sessions_by_did ON sessions (did);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);

-- Private keys, wrapped under the master key; never in clear.
CREATE TABLE signing_keys (
    did TEXT NOT NULL PRIMARY KEY,
    did_key TEXT NOT NULL,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE reserved_signing_keys (
    did_key TEXT NOT NULL PRIMARY KEY,
    did TEXT,
    wrapped BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX reserved_signing_keys_by_did ON reserved_signing_keys (did) WHERE did IS NOT NULL;
CREATE INDEX reserved_signing_keys_by_expiry ON reserved_signing_keys (expires_at);

-- One-use tokens that were used, kept until they would have expired.
CREATE TABLE used_tokens (
    token_hash BLOB NOT NULL PRIMARY KEY,
    expires_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX used_tokens_by_expiry ON used_tokens (expires_at);

-- The signed head of each repository; the tree is derived from the records.
CREATE TABLE repos (
    did TEXT NOT NULL PRIMARY KEY,
    head TEXT NOT NULL,
    rev TEXT NOT NULL,
    data TEXT NOT NULL,
    commit_block BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE records (
    did TEXT NOT NULL,
    collection TEXT NOT NULL,
    rkey TEXT NOT NULL,
    cid TEXT NOT NULL,
    rev TEXT NOT NULL,
    block BLOB NOT NULL,
    PRIMARY KEY (did, collection, rkey)
) STRICT, WITHOUT ROWID;
