-- Telephone numbers that were shown to be somebody's, and the accounts made with them. Times are microseconds since the
-- Unix epoch. Who writes what: docs/storage.md.

CREATE TABLE phone_codes (
    number_hash BLOB NOT NULL,
    code_hash BLOB NOT NULL,
    ends_at INTEGER NOT NULL,
    used_by TEXT,
    PRIMARY KEY (number_hash, code_hash)
) STRICT, WITHOUT ROWID;
CREATE INDEX phone_codes_by_end ON phone_codes (ends_at);
CREATE INDEX phone_codes_by_user ON phone_codes (used_by) WHERE used_by IS NOT NULL;

CREATE TABLE phone_accounts (
    number_hash BLOB NOT NULL,
    did TEXT,
    since INTEGER NOT NULL
) STRICT;
CREATE INDEX phone_accounts_by_number ON phone_accounts (number_hash);
CREATE UNIQUE INDEX phone_accounts_by_did ON phone_accounts (did) WHERE did IS NOT NULL;
