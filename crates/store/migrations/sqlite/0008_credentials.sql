-- What a sign-in allows, passwords for single apps, and what an account's owner or the operator chose about them.
-- Times are microseconds since the Unix epoch. Who writes what: docs/storage.md.

ALTER TABLE accounts ADD COLUMN email_auth_factor INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN invites_disabled INTEGER NOT NULL DEFAULT 0;
ALTER TABLE accounts ADD COLUMN invite_note TEXT;

ALTER TABLE sessions ADD COLUMN scope INTEGER NOT NULL DEFAULT 0;
ALTER TABLE sessions ADD COLUMN app_password TEXT;

CREATE TABLE app_passwords (
    did TEXT NOT NULL,
    name TEXT NOT NULL,
    password_hash BLOB NOT NULL,
    privileged INTEGER NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (did, name)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX app_passwords_by_hash ON app_passwords (did, password_hash);
