//! E-mail addresses that are not in canonical form yet, from before there was one.

use allod_atproto::Did;

use super::{all, parsed};
use crate::{ConflictKey, Database, ReadError, Touched, Txn, sql};

/// Reads up to `limit` DIDs after `after`, in order, each with its address; none where the DID has no address any more.
pub async fn page(db: &dyn Database, after: &str, limit: i64) -> Result<Vec<(Did, Option<String>)>, ReadError> {
    let rows = db.read(sql!(
        "SELECT unconverted_emails.did, emails.email_key FROM unconverted_emails \
         LEFT JOIN emails ON emails.did = unconverted_emails.did \
         WHERE unconverted_emails.did > $1 ORDER BY unconverted_emails.did LIMIT $2",
        after,
        limit
    ));
    all(&rows.await?, |row| Ok((parsed("unconverted_emails.did", Did::parse(&row.get::<String>(0)?))?, row.get(1)?)))
}

/// Adds: the DID's address becomes `email`, also in a sign-up under way. Conflict: [`ConflictKey::EmailTaken`] when
/// another DID has it, or the address is no longer `before`.
pub fn convert(txn: &mut Txn, did: &Did, before: &str, email: &str) {
    let did = did.as_str();
    txn.touch(Touched::Account(did.to_owned()));
    txn.expect(
        ConflictKey::EmailTaken,
        1,
        sql!(
            "UPDATE emails SET email_key = $3 WHERE did = $1 AND email_key = $2 \
             AND NOT EXISTS (SELECT 1 FROM emails AS other WHERE other.email_key = $3)",
            did,
            before,
            email
        ),
    );
    txn.run(sql!("UPDATE accounts SET email = $2 WHERE did = $1", did, email));
    txn.run(sql!(
        "UPDATE sign_ups SET email = $3, email_key = $3 WHERE did = $1 AND email_key = $2",
        did,
        before,
        email
    ));
    txn.run(sql!("DELETE FROM unconverted_emails WHERE did = $1", did));
}

/// Adds: the DID's address needs no conversion.
pub fn forget(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM unconverted_emails WHERE did = $1", did.as_str()));
}
