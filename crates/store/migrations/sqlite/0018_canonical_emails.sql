-- E-mail addresses have one form: lower case, the domain in ASCII. What SQL can't convert is listed for the server, which
-- converts it when it starts next. A row that stays is an address that another account has in that form.
UPDATE accounts SET email = lower(email) WHERE email IS NOT NULL;

CREATE TABLE unconverted_emails (
    did TEXT NOT NULL PRIMARY KEY
) STRICT, WITHOUT ROWID;
INSERT OR IGNORE INTO unconverted_emails (did)
    SELECT did FROM emails WHERE email_key GLOB '*[^' || char(1) || '-' || char(127) || ']*';
