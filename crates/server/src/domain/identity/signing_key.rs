//! Giving an account another signing key.

use std::sync::Arc;

use allod_atproto::{Did, crypto::DidKey, plc::VerificationKey};
use allod_base::clock;
use allod_net::lookups;
use allod_store::{
    CommitError, ConflictKey, Txn,
    tables::{
        did_web,
        signing_keys::{self, WrappedKey},
    },
};

use super::{
    changes::{ChangeError, NewKey, Planned, Turn},
    operations, published,
};
use crate::{
    app::App,
    domain::{
        identity_lookup::hosted::SIGNING_KEY_NAME,
        keys::{self, Purpose},
        repos::{self, AnnounceError},
    },
};

/// Makes a new signing key for an account, kept before the directory hears of it; once its document names the key, the
/// repository is signed with it, beginning with a fresh commit. Runs to its end even when the caller goes away.
pub async fn rotate(app: &Arc<App>, did: &Did) -> Result<DidKey, ChangeError> {
    let key = keys::generate(&*app.randomness);
    let did_key = key.did_key();
    spawned(app, did, NewKey { signing: key, is_reserved: false }).await?;
    Ok(did_key)
}

/// As [`rotate`], with a key that was reserved here, for this DID or for none in particular; the reservation is used
/// up. An account that has the key already keeps it.
pub async fn adopt(app: &Arc<App>, did: &Did, did_key: &DidKey) -> Result<(), ChangeError> {
    let key = signing_keys::by_did(&*app.db, did).await?;
    if key.is_some_and(|key| key.did_key == *did_key) {
        return Ok(());
    }
    let reserved = app.reserved_keys.find(did_key, did).await?.ok_or(ChangeError::NotReserved)?;
    spawned(app, did, NewKey { signing: reserved.signing, is_reserved: true }).await
}

async fn spawned(app: &Arc<App>, did: &Did, key: NewKey) -> Result<(), ChangeError> {
    let (app, did) = (Arc::clone(app), did.clone());
    let task = lookups::spawn(async move { carry_out(&app, &did, key).await });
    task.await.map_err(|error| ChangeError::Internal(error.to_string()))?
}

async fn carry_out(app: &Arc<App>, did: &Did, key: NewKey) -> Result<(), ChangeError> {
    let (turn, account) = Turn::begin(app, did).await?;
    if !published::is_plc(did) {
        return swap_hosted(app, did, key).await;
    }
    let (before, prev) = operations::current(app, did).await?;
    let published = before.verification_methods.get(SIGNING_KEY_NAME).and_then(VerificationKey::did_key);
    if published.as_ref() == Some(&key.signing.did_key()) {
        // Its owner has published it.
        return swap(app, did, key, |_| {}).await;
    }
    let mut data = before.clone();
    data.verification_methods.insert(SIGNING_KEY_NAME.to_owned(), key.signing.did_key().into());
    let operation = operations::sign(app, &before, data, prev)?;
    turn.submit(&account, Planned { operation, handle: None, key: Some(key) }).await
}

/// Nothing is published first: the document of a did:web that is kept here follows the account's key.
async fn swap_hosted(app: &Arc<App>, did: &Did, key: NewKey) -> Result<(), ChangeError> {
    if !app.identities.is_ours(did).await? {
        return Err(ChangeError::Operation("the DID document is not this server's to change".to_owned()));
    }
    let whose = did.clone();
    swap(app, did, key, move |txn| did_web::assert_here(txn, &whose)).await
}

/// Signs with another key from now on, which the DID's document names already or as soon as the account has it.
async fn swap(
    app: &Arc<App>,
    did: &Did,
    key: NewKey,
    assert: impl FnOnce(&mut Txn) + Send + 'static,
) -> Result<(), ChangeError> {
    let NewKey { signing: key, is_reserved } = key;
    let wrapped = app.keyring.wrap(&key, Purpose::Signing(did), &*app.randomness);
    let row = WrappedKey { did_key: key.did_key(), wrapped };
    let (whose, now) = (did.clone(), clock::to_store(app.clock.now_micros()));
    let swapped = repos::resign(app, did, key, move |txn| {
        assert(txn);
        if is_reserved {
            signing_keys::consume_reserved(txn, &row.did_key);
        }
        signing_keys::replace(txn, &whose, &row, now);
    });
    match swapped.await {
        Ok(_) => Ok(()),
        Err(AnnounceError::NotFound(_)) => Err(ChangeError::NotFound),
        Err(AnnounceError::Commit(CommitError::Conflict(ConflictKey::DidWebMoved))) => Err(ChangeError::UnderWay),
        Err(AnnounceError::Commit(CommitError::Conflict(ConflictKey::ReservedKeyMoved))) => {
            Err(ChangeError::NotReserved)
        }
        Err(error) => Err(error.into()),
    }
}
