//! What operators change of accounts' identities, by the did:plc directory or in documents that are kept here.
//!
//! The directory is asked between two transactions, so what was done is noted once it is.

use std::{fmt::Display, sync::Arc};

use allod_atproto::{Did, crypto::DidKey};

use crate::domain::audit::By;
use crate::{
    app::App,
    domain::identity::{
        changes::ChangeError,
        handle::{self, UpdateHandleError},
        recovery_key, signing_key,
    },
};

/// Gives an account another handle, also a reserved one.
pub async fn set_handle(app: &Arc<App>, by: &By, did: &Did, typed: &str) -> Result<(), UpdateHandleError> {
    let outcome = handle::update_handle(app, did, typed, handle::By::Operator).await;
    noted(app, by, &format!("{did} {typed}"), outcome).await
}

/// Gives an account a signing key that was reserved here.
pub async fn set_signing_key(app: &Arc<App>, by: &By, did: &Did, key: &DidKey) -> Result<(), ChangeError> {
    let outcome = signing_key::adopt(app, did, key).await;
    noted(app, by, &format!("{did} {key}"), outcome).await
}

/// Gives an account a new signing key.
pub async fn rotate_signing_key(app: &Arc<App>, by: &By, did: &Did) -> Result<DidKey, ChangeError> {
    let outcome = signing_key::rotate(app, did).await;
    noted(app, by, did.as_str(), outcome).await
}

/// Puts a key of the owner's first among an account's rotation keys.
pub async fn add_recovery_key(app: &Arc<App>, by: &By, did: &Did, key: &DidKey) -> Result<Vec<DidKey>, ChangeError> {
    let outcome = recovery_key::add(app, did, key).await;
    noted(app, by, &format!("{did} {key}"), outcome).await
}

async fn noted<T, E: Display + Sync>(app: &App, by: &By, subject: &str, outcome: Result<T, E>) -> Result<T, E> {
    match &outcome {
        Ok(_) => app.audit.done(by, subject).await,
        Err(error) => app.audit.refused(by, subject, error).await,
    }
    outcome
}
