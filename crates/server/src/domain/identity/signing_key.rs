//! Giving an account another signing key.

use std::sync::Arc;

use allod_atproto::{Did, crypto::DidKey};

use super::{
    changes::{ChangeError, Planned, Turn},
    operations,
    published::{self, SIGNING_KEY_NAME},
};
use crate::{app::App, domain::reserved_keys};

/// Makes a new signing key for an account, kept before the directory hears of it; once its document names the key, the
/// repository is signed with it, beginning with a fresh commit. Runs to its end even when the caller goes away.
pub async fn rotate(app: &Arc<App>, did: &Did) -> Result<DidKey, ChangeError> {
    if !published::is_plc(did) {
        return Err(ChangeError::Operation("only a did:plc is changed by operations".to_owned()));
    }
    let (app, did) = (Arc::clone(app), did.clone());
    let task = tokio::spawn(async move { carry_out(&app, &did).await });
    task.await.map_err(|error| ChangeError::Internal(error.to_string()))?
}

async fn carry_out(app: &Arc<App>, did: &Did) -> Result<DidKey, ChangeError> {
    let (turn, account) = Turn::begin(app, did).await?;
    let (before, prev) = operations::current(app, did).await?;
    let key = reserved_keys::generate(app);
    let did_key = key.did_key();
    let mut data = before.clone();
    data.verification_methods.insert(SIGNING_KEY_NAME.to_owned(), did_key.clone().into());
    let operation = operations::sign(app, &before, data, prev)?;
    turn.submit(&account, Planned { operation, handle: None, key: Some(key) }).await?;
    Ok(did_key)
}
