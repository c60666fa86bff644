//! Putting a key of the owner's own before the server's, with which the identity can be won back whatever becomes of the
//! server.

use std::sync::Arc;

use allod_atproto::{Did, crypto::DidKey};
use allod_net::lookups;

use super::{
    changes::{ChangeError, Planned, Turn},
    operations, published,
};
use crate::app::App;

/// Puts a key first among the rotation keys of an account's did:plc, where it can undo what any other signs. One that is
/// first already is left there. Gives all of them, in order. Runs to its end even when the caller goes away.
pub async fn add(app: &Arc<App>, did: &Did, key: &DidKey) -> Result<Vec<DidKey>, ChangeError> {
    if !published::is_plc(did) {
        return Err(ChangeError::Operation("only a did:plc has rotation keys".to_owned()));
    }
    let (app, did, key) = (Arc::clone(app), did.clone(), key.clone());
    let task = lookups::spawn(async move { carry_out(&app, &did, key).await });
    task.await.map_err(|error| ChangeError::Internal(error.to_string()))?
}

async fn carry_out(app: &Arc<App>, did: &Did, key: DidKey) -> Result<Vec<DidKey>, ChangeError> {
    let (turn, account) = Turn::begin(app, did).await?;
    let (before, prev) = operations::current(app, did).await?;
    if key == app.rotation_key.did_key() {
        return Err(ChangeError::Operation("that is the server's own key".to_owned()));
    }
    if before.rotation_keys.first() == Some(&key) {
        return Ok(before.rotation_keys);
    }
    let mut data = before.clone();
    data.rotation_keys.retain(|other| *other != key);
    data.rotation_keys.insert(0, key);
    let keys = data.rotation_keys.clone();
    let operation = operations::sign(app, &before, data, prev)?;
    turn.submit(&account, Planned { operation, handle: None, key: None }).await?;
    Ok(keys)
}
