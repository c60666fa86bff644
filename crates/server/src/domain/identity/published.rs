//! What the DID of an account here must say, and whether it does.

use std::sync::Arc;

use allod_atproto::{
    Did, Handle,
    crypto::DidKey,
    plc::{PlcData, Service, VerificationKey},
};
use allod_net::resolver::{Freshness, ResolveError};
use allod_plc::client::ReadError as DirectoryError;
use allod_store::{
    ReadError,
    tables::{accounts::Account, signing_keys},
};

use crate::{
    app::App,
    domain::identity_lookup::{
        DocumentError,
        hosted::{PDS_SERVICE_NAME, PDS_SERVICE_TYPE, SIGNING_KEY_NAME},
        is_same_endpoint,
    },
};

/// What the DID of an account here should say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Credentials {
    /// The did:plc rotation keys that we advise: the operator's, then the server's. None for a DID that has no such
    /// keys.
    pub rotation_keys: Option<Vec<DidKey>>,
    /// The account's handle.
    pub handle: Handle,
    /// The key that signs its repository.
    pub signing_key: DidKey,
    /// Where its server is.
    pub endpoint: String,
}

/// What a DID says, as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Who may change it; none where the DID's method has no such keys.
    pub rotation_keys: Option<Vec<DidKey>>,
    /// The handle it claims.
    pub handle: Option<Handle>,
    /// The key that signs the repository.
    pub signing_key: Option<DidKey>,
    /// Where the server is.
    pub endpoint: Option<String>,
}

/// What a DID must say for an account to be served here: the one place that decides what is good enough.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requirements {
    /// The rotation key it must list; none where the operator does not ask for one.
    rotation_key: Option<DidKey>,
    /// The handle it must claim.
    handle: Handle,
    /// The key it must name; none when the caller checks the key.
    signing_key: Option<DidKey>,
    /// The server it must name.
    endpoint: String,
}

impl Requirements {
    /// For an account with this handle, and with this signing key if the key is already decided.
    pub fn new(app: &App, handle: &Handle, signing_key: Option<DidKey>) -> Self {
        Self {
            rotation_key: app.config.sign_up.server_rotation_key_required.then(|| app.rotation_key.did_key()),
            handle: handle.clone(),
            signing_key,
            endpoint: app.config.service.public_url.clone(),
        }
    }
}

/// Something in which a DID does not say what it should. The texts are the reference's, but for the handle's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Misfit {
    /// We could not change it any more.
    #[error("Server rotation key not included in PLC DID data")]
    RotationKey,
    /// It names another server.
    #[error("DID document atproto_pds service endpoint does not match PDS public url")]
    Endpoint,
    /// It names another key than the one that signs here.
    #[error("DID document verification method does not match expected signing key")]
    SigningKey,
    /// It claims another handle.
    #[error("DID document does not claim the account's handle")]
    Handle,
}

impl Misfit {
    /// Whether an account that takes part in the network can't do with it.
    pub fn forbids_activity(self) -> bool {
        match self {
            Self::RotationKey | Self::Endpoint | Self::SigningKey => true,
            Self::Handle => false,
        }
    }
}

/// Why it is not known what a DID says, or what it should say.
#[derive(Debug, thiserror::Error)]
pub enum PublishedError {
    /// There is no such DID, or it was ended.
    #[error("Could not resolve DID")]
    Unresolvable,
    /// Whoever keeps it could not be asked.
    #[error("the DID could not be looked up: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
    },
    /// What is kept of this DID can't be used; of others that says nothing.
    #[error("what the directory has of the DID can't be used: {reason}")]
    Unusable {
        /// For the log.
        reason: String,
    },
    /// The account has no signing key.
    #[error("{0} has no signing key")]
    NoKey(Did),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl From<DocumentError> for PublishedError {
    fn from(error: DocumentError) -> Self {
        match error {
            DocumentError::Resolve(ResolveError::Unsupported(_) | ResolveError::NotFound(_)) => Self::Unresolvable,
            DocumentError::Resolve(ResolveError::Unavailable { reason, .. }) => Self::Unavailable { reason },
            DocumentError::Read(error) => Self::Read(error),
        }
    }
}

impl From<DirectoryError> for PublishedError {
    fn from(error: DirectoryError) -> Self {
        match error {
            DirectoryError::Unavailable { reason } => Self::Unavailable { reason },
            error @ (DirectoryError::Refused { .. } | DirectoryError::Invalid { .. }) => {
                Self::Unusable { reason: error.to_string() }
            }
        }
    }
}

/// Tells what an account's DID should say.
pub async fn credentials(app: &App, account: &Account) -> Result<Credentials, PublishedError> {
    let key = signing_keys::by_did(&*app.db, &account.did).await?;
    let key = key.ok_or_else(|| PublishedError::NoKey(account.did.clone()))?;
    let mut rotation_keys: Vec<DidKey> = Vec::new();
    for key in app.config.identity.recovery_key.clone().into_iter().chain([app.rotation_key.did_key()]) {
        if !rotation_keys.contains(&key) {
            rotation_keys.push(key);
        }
    }
    Ok(Credentials {
        rotation_keys: is_plc(&account.did).then_some(rotation_keys),
        handle: account.handle.clone(),
        signing_key: key.did_key,
        endpoint: app.config.service.public_url.clone(),
    })
}

/// Tells what a DID says at this moment: asked now, and kept for others who ask.
pub async fn look_up(app: &App, did: &Did) -> Result<Published, PublishedError> {
    if is_plc(did) {
        let data = app.resolver.plc_data(did).await?;
        let data = data.ok_or(PublishedError::Unresolvable)?;
        app.resolver.cache_document(did.clone(), Arc::new(data.document(did)));
        return Ok(Published::of(&data));
    }
    let document = app.identities.resolve_document(did, Freshness::Fresh).await?;
    Ok(Published {
        rotation_keys: None,
        handle: document.handle(),
        signing_key: document.signing_key(),
        endpoint: document.pds_endpoint().map(str::to_owned),
    })
}

/// Whether a DID is kept by the did:plc directory.
pub fn is_plc(did: &Did) -> bool {
    did.as_str().starts_with("did:plc:")
}

/// Whether a did:plc is changed by its owner alone, who keeps this server's key out of it, and the operator allows
/// that.
pub fn is_left_to_owner(app: &App, data: &PlcData) -> bool {
    !app.config.sign_up.server_rotation_key_required && !data.rotation_keys.contains(&app.rotation_key.did_key())
}

/// Lists in what an account's DID does not say what it should, asked at this moment.
pub async fn misfits(app: &App, account: &Account) -> Result<Vec<Misfit>, PublishedError> {
    let required = requirements(app, account).await?;
    Ok(look_up(app, &account.did).await?.misfits(&required))
}

/// What an account's DID must say.
async fn requirements(app: &App, account: &Account) -> Result<Requirements, PublishedError> {
    let key = credentials(app, account).await?.signing_key;
    Ok(Requirements::new(app, &account.handle, Some(key)))
}

/// What an operator should know of an account's identity, as sentences.
pub async fn advice(app: &App, account: &Account) -> Result<Vec<String>, PublishedError> {
    let required = requirements(app, account).await?;
    let published = look_up(app, &account.did).await?;
    let ours = app.rotation_key.did_key();
    let mut advice: Vec<String> = published.misfits(&required).iter().map(ToString::to_string).collect();
    let is_listed = published.rotation_keys.as_ref().is_none_or(|keys| keys.contains(&ours));
    if required.rotation_key.is_none() && !is_listed {
        advice.push(
            "The owner alone holds the rotation keys: this server can change neither the handle nor the signing key"
                .to_owned(),
        );
    }
    if published.rotation_keys.is_some_and(|keys| keys == [ours]) {
        advice.push(
            "There is no recovery key: the identity is lost with this server's rotation key. \
             Add one of the owner's with: allod account add-recovery-key"
                .to_owned(),
        );
    }
    Ok(advice)
}

impl Published {
    /// Reads a did:plc's state.
    pub fn of(data: &PlcData) -> Self {
        let is_pds = |service: &&Service| service.kind == PDS_SERVICE_TYPE;
        Self {
            rotation_keys: Some(data.rotation_keys.clone()),
            handle: claimed_handle(&data.also_known_as),
            signing_key: data.verification_methods.get(SIGNING_KEY_NAME).and_then(VerificationKey::did_key),
            endpoint: data.services.get(PDS_SERVICE_NAME).filter(is_pds).map(|service| service.endpoint.clone()),
        }
    }

    /// Compares it with what it must say; what matters most comes first.
    pub fn misfits(&self, required: &Requirements) -> Vec<Misfit> {
        let rotates = match (&self.rotation_keys, &required.rotation_key) {
            (Some(keys), Some(ours)) => keys.contains(ours),
            (None, _) | (_, None) => true,
        };
        let is_here = self.endpoint.as_deref().is_some_and(|endpoint| is_same_endpoint(endpoint, &required.endpoint));
        let is_signed = required.signing_key.is_none() || self.signing_key == required.signing_key;
        let is_named = self.handle.as_ref() == Some(&required.handle);
        [
            (rotates, Misfit::RotationKey),
            (is_here, Misfit::Endpoint),
            (is_signed, Misfit::SigningKey),
            (is_named, Misfit::Handle),
        ]
        .into_iter()
        .filter_map(|(fits, misfit)| (!fits).then_some(misfit))
        .collect()
    }
}

/// Gives the first handle that is claimed by a valid `at://` name.
pub fn claimed_handle(also_known_as: &[String]) -> Option<Handle> {
    also_known_as.iter().find_map(|name| Handle::parse(name.strip_prefix("at://")?).ok())
}
