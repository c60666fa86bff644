//! The did:plc operation of a sign-up: ours, or one the caller brings.

use allod_atproto::{
    Did, Handle,
    crypto::{DidKey, SigningKey},
    did_doc::DidDocument,
    plc::{Operation, PlcData, UnsignedPlcOperation},
};
use allod_base::clock;
use allod_store::tables::{sign_ups::KeyOrigin, signing_keys};

use super::SignUpError;
use crate::{
    app::App,
    domain::{
        identity::published::{self, Misfit, Published, Requirements},
        keys,
    },
};

/// The DID of an account to be, and how it comes to be ours.
#[expect(clippy::large_enum_variant, reason = "one for each sign-up, moved twice")]
pub(super) enum Identity {
    /// An operation makes it so.
    Submits(Submission),
    /// It exists, and its owner changes its document later.
    MovesIn(AtOnce),
    /// It is a did:web of a name of ours, and exists once the account does.
    Hosted(AtOnce),
}

/// A DID that no directory has to hear of.
pub(super) struct AtOnce {
    pub(super) did: Did,
    pub(super) key: AccountKey,
    pub(super) document: serde_json::Value,
}

/// An operation to be sent to the directory.
pub(super) struct Submission {
    pub(super) did: Did,
    pub(super) operation: Operation,
    pub(super) is_update: bool,
    pub(super) key: AccountKey,
    pub(super) document: serde_json::Value,
}

/// The account's signing key.
pub(super) struct AccountKey {
    pub(super) signing: SigningKey,
    /// Where it comes from.
    pub(super) origin: KeyOrigin,
}

impl Identity {
    pub(super) fn did(&self) -> &Did {
        match self {
            Self::Submits(submission) => &submission.did,
            Self::MovesIn(at_once) | Self::Hosted(at_once) => &at_once.did,
        }
    }

    /// Whether an existing DID is changed.
    pub(super) fn is_update(&self) -> bool {
        matches!(self, Self::Submits(submission) if submission.is_update)
    }
}

/// Makes and signs the genesis operation of a new did:plc.
///
/// Rotation keys: the person's own first, then the operator's, then the server's; an earlier one can undo a later one.
pub(super) fn genesis(app: &App, handle: &Handle, recovery_key: Option<DidKey>) -> Result<Identity, SignUpError> {
    let signing = keys::generate(&*app.randomness);
    let mut rotation_keys: Vec<DidKey> = Vec::new();
    let keys = [recovery_key, app.config.identity.recovery_key.clone(), Some(app.rotation_key.did_key())];
    for key in keys.into_iter().flatten() {
        if !rotation_keys.contains(&key) {
            rotation_keys.push(key);
        }
    }
    let endpoint = &app.config.service.public_url;
    let unsigned = UnsignedPlcOperation::atproto(rotation_keys, signing.did_key(), handle, endpoint, None);
    let operation = unsigned.sign(&app.rotation_key);
    let did = operation.did().map_err(|e| SignUpError::Internal(e.to_string()))?;
    let document = document(&did, &operation).unwrap_or_default();
    let key = AccountKey { signing, origin: KeyOrigin::New };
    Ok(Identity::Submits(Submission { did, operation, is_update: false, key, document }))
}

/// Renders the DID document that follows from an operation.
pub(super) fn document(did: &Did, operation: &Operation) -> Option<serde_json::Value> {
    operation.data().map(|data| data.document(did).into_json())
}

/// Checks an operation that the caller brings: it makes an account here, and leaves this server able to serve it.
pub(super) async fn check_brought(
    app: &App,
    json: &serde_json::Value,
    did: Option<&Did>,
    handle: &Handle,
) -> Result<Identity, SignUpError> {
    let incompatible = |message: &str| SignUpError::IncompatibleDidDoc(message.to_owned());
    if did.is_some_and(|did| !published::is_plc(did)) {
        return Err(incompatible("plcOp is for a did:plc, which the DID given is not"));
    }
    let operation = Operation::parse(json).map_err(|e| SignUpError::IncompatibleDidDoc(format!("plcOp: {e}")))?;
    let Operation::Plc(plc) = &operation else {
        return Err(incompatible("plcOp must be a plc_operation"));
    };
    let is_update = plc.prev.is_some();
    let subject = match (did, is_update) {
        (Some(did), true) => {
            check_update(app, did, &operation).await?;
            did.clone()
        }
        (None, true) => return Err(incompatible("a plcOp that updates a DID needs that DID beside it")),
        (did, false) => {
            let made = operation.did().map_err(|e| SignUpError::IncompatibleDidDoc(format!("plcOp: {e}")))?;
            if did.is_some_and(|did| *did != made) {
                return Err(incompatible("plcOp makes another DID than the one given"));
            }
            if operation.verify_signature(&plc.rotation_keys).is_err() {
                return Err(incompatible("plcOp is not signed by one of its rotation keys"));
            }
            made
        }
    };
    let data = operation.data().ok_or_else(|| incompatible("plcOp must be a plc_operation"))?;
    let key = check_contents(app, &data, &subject, handle).await?;
    let document = document(&subject, &operation).unwrap_or_default();
    Ok(Identity::Submits(Submission { did: subject, operation, is_update, key, document }))
}

/// An update must follow the DID's last operation and be signed by one of the keys that one names.
async fn check_update(app: &App, did: &Did, operation: &Operation) -> Result<(), SignUpError> {
    let unresolvable = || SignUpError::UnresolvableDid(did.clone());
    let log = app.resolver.audit_log(did).await.map_err(|_| unresolvable())?.ok_or_else(unresolvable)?;
    let last = log.iter().rev().find(|entry| !entry.nullified).ok_or_else(unresolvable)?;
    let keys = last.operation.data().map(|data| data.rotation_keys.clone()).unwrap_or_default();
    if operation.prev() != Some(last.cid) {
        return Err(SignUpError::IncompatibleDidDoc("plcOp does not belong to the DID given".to_owned()));
    }
    if operation.verify_signature(&keys).is_err() {
        return Err(SignUpError::IncompatibleDidDoc("plcOp is not signed by a rotation key of the DID".to_owned()));
    }
    Ok(())
}

async fn check_contents(app: &App, data: &PlcData, did: &Did, handle: &Handle) -> Result<AccountKey, SignUpError> {
    let incompatible = |message: &str| SignUpError::IncompatibleDidDoc(message.to_owned());
    let published = Published::of(data);
    if let Some(misfit) = published.misfits(&Requirements::new(app, handle, None)).first() {
        return Err(incompatible(match misfit {
            Misfit::RotationKey => "PLC DID does not include service rotation key",
            Misfit::Endpoint => "DID document pds endpoint does not match service endpoint",
            Misfit::SigningKey => "DID document signing key does not match service signing key",
            Misfit::Handle => "provided handle does not match DID document handle",
        }));
    }
    let signing = published.signing_key.ok_or_else(|| incompatible("plcOp names no usable atproto signing key"))?;
    let reserved = reserved_key(app, &signing, did).await?;
    reserved.ok_or_else(|| incompatible("reserved signing key does not exist"))
}

/// Makes the key of a DID that moves in. Its document may say anything so far: the service token has proved who asks,
/// and the account stays deactivated until the document fits.
pub(super) async fn move_in(app: &App, did: Did, document: &DidDocument) -> Result<Identity, SignUpError> {
    let key = key_for(app, &did).await?;
    Ok(Identity::MovesIn(AtOnce { did, key, document: document.json().clone() }))
}

/// The key reserved for a DID, else a new one.
pub(super) async fn key_for(app: &App, did: &Did) -> Result<AccountKey, SignUpError> {
    let now = clock::to_store(app.clock.now_micros());
    let key = match signing_keys::reserved_for(&*app.db, did, now).await? {
        Some(reserved) => reserved_key(app, &reserved.did_key, did).await?,
        None => None,
    };
    Ok(key.unwrap_or_else(|| AccountKey { signing: keys::generate(&*app.randomness), origin: KeyOrigin::New }))
}

/// Finds a reserved key that this DID may use: one reserved for it, or for no DID in particular.
async fn reserved_key(app: &App, did_key: &DidKey, did: &Did) -> Result<Option<AccountKey>, SignUpError> {
    let Some(reserved) = app.reserved_keys.find(did_key, did).await? else { return Ok(None) };
    let origin = if reserved.is_for_did { KeyOrigin::ReservedForDid } else { KeyOrigin::Reserved };
    Ok(Some(AccountKey { signing: reserved.signing, origin }))
}
