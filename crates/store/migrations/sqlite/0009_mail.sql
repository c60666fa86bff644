-- Letters that wait to be sent, how often somebody was written to, and the codes that were mailed.
-- Times are microseconds since the Unix epoch. Who writes what: docs/storage.md.

CREATE TABLE mail_outbox (
    letter_id BLOB NOT NULL PRIMARY KEY,
    recipient BLOB NOT NULL,
    did TEXT,
    kind INTEGER NOT NULL,
    same_letter BLOB NOT NULL,
    sealed BLOB NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    next_try_at INTEGER NOT NULL,
    tries INTEGER NOT NULL,
    last_error TEXT
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX mail_outbox_by_same_letter ON mail_outbox (same_letter);
CREATE INDEX mail_outbox_by_next_try ON mail_outbox (next_try_at);
CREATE INDEX mail_outbox_by_did ON mail_outbox (did) WHERE did IS NOT NULL;

CREATE TABLE mail_posted (
    letter_id BLOB NOT NULL PRIMARY KEY,
    recipient BLOB NOT NULL,
    did TEXT,
    kind INTEGER NOT NULL,
    posted_at INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX mail_posted_by_recipient ON mail_posted (recipient, kind, posted_at);
CREATE INDEX mail_posted_by_did ON mail_posted (did, posted_at) WHERE did IS NOT NULL;
CREATE INDEX mail_posted_by_time ON mail_posted (posted_at);

CREATE TABLE email_codes (
    did TEXT NOT NULL,
    purpose INTEGER NOT NULL,
    code_hash BLOB NOT NULL,
    place BLOB NOT NULL,
    issued_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    tries_left INTEGER NOT NULL,
    PRIMARY KEY (did, purpose)
) STRICT, WITHOUT ROWID;
CREATE INDEX email_codes_by_place ON email_codes (place);
CREATE INDEX email_codes_by_expiry ON email_codes (expires_at);
