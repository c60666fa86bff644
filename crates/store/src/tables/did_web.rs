//! The did:webs that were made here, whose documents this server keeps.

use allod_atproto::{Did, Handle, crypto::DidKey};

use super::{first, parsed};
use crate::{ConflictKey, Database, ReadError, Row, Txn, sql};

/// A did:web that was made here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostedDid {
    /// The DID.
    pub did: Did,
    /// Handle and key of its account here; none once the account is gone.
    pub account: Option<(Handle, DidKey)>,
    /// What its document says in place of that, once the identity has moved.
    pub elsewhere: Option<Elsewhere>,
}

/// What the document of an identity says that has moved to another server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Elsewhere {
    /// Where the server is.
    pub endpoint: String,
    /// What signs the repository there.
    pub signing_key: DidKey,
    /// The handle it claims.
    pub handle: Handle,
}

fn handle_and_key(row: &Row, handle: usize, key: usize) -> Result<Option<(Handle, DidKey)>, ReadError> {
    let (handle, key): (Option<String>, Option<String>) = (row.get(handle)?, row.get(key)?);
    let Some((handle, key)) = handle.zip(key) else { return Ok(None) };
    Ok(Some((
        parsed("the handle of a did:web", Handle::parse(&handle))?,
        parsed("the key of a did:web", DidKey::parse(&key))?,
    )))
}

/// Reads a did:web that was made here, with the account it has at this moment. Nobody has heard yet of one that waits in the
/// sign-up queue.
pub async fn by_did(db: &dyn Database, did: &Did) -> Result<Option<HostedDid>, ReadError> {
    let rows = db.read(sql!(
        "SELECT accounts.handle, signing_keys.did_key, made.endpoint, made.handle, made.signing_key \
         FROM did_web_documents AS made LEFT JOIN accounts ON accounts.did = made.did AND NOT EXISTS \
         (SELECT 1 FROM sign_up_queue WHERE sign_up_queue.did = made.did) \
         LEFT JOIN signing_keys ON signing_keys.did = accounts.did WHERE made.did = $1",
        did.as_str()
    ));
    first(&rows.await?, |row| {
        let endpoint: Option<String> = row.get(2)?;
        let elsewhere = endpoint.zip(handle_and_key(row, 3, 4)?);
        Ok(HostedDid {
            did: did.clone(),
            account: handle_and_key(row, 0, 1)?,
            elsewhere: elsewhere.map(|(endpoint, (handle, signing_key))| Elsewhere { endpoint, signing_key, handle }),
        })
    })
}

/// Adds: the DID is made here, once and never again. Conflict: [`ConflictKey::DidWebUsed`].
pub fn insert(txn: &mut Txn, did: &Did, now: i64) {
    txn.expect(
        ConflictKey::DidWebUsed,
        1,
        sql!("INSERT INTO did_web_documents (did, created_at) VALUES ($1, $2)", did.as_str(), now),
    );
}

/// Adds: the DID was never made, for nobody has heard of it.
pub fn unmake(txn: &mut Txn, did: &Did) {
    txn.run(sql!("DELETE FROM did_web_documents WHERE did = $1 AND endpoint IS NULL", did.as_str()));
}

/// Adds: the document says this from now on, or again what the account here has. Conflict:
/// [`ConflictKey::DidWebMoved`].
pub fn publish(txn: &mut Txn, did: &Did, elsewhere: Option<&Elsewhere>) {
    txn.expect(
        ConflictKey::DidWebMoved,
        1,
        sql!(
            "UPDATE did_web_documents SET endpoint = $2, signing_key = $3, handle = $4 WHERE did = $1",
            did.as_str(),
            elsewhere.map(|elsewhere| elsewhere.endpoint.as_str()),
            elsewhere.map(|elsewhere| elsewhere.signing_key.as_str()),
            elsewhere.map(|elsewhere| elsewhere.handle.as_str())
        ),
    );
}

/// Adds: the DID was made here, and its document says what its account here has. Conflict:
/// [`ConflictKey::DidWebMoved`].
pub fn assert_here(txn: &mut Txn, did: &Did) {
    txn.absent(
        ConflictKey::DidWebMoved,
        sql!(
            "SELECT 1 WHERE NOT EXISTS (SELECT 1 FROM did_web_documents WHERE did = $1 AND endpoint IS NULL)",
            did.as_str()
        ),
    );
}
