//! What the operator decides of did:webs that were made here: that a document names another server from now on, for the
//! name is the operator's and nobody else can change it.

use std::sync::Arc;

use allod_atproto::{AtIdentifier, Did, Handle, crypto::DidKey, did_doc::DidDocument};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::{
        accounts as stored,
        did_web::{self, Elsewhere, HostedDid},
    },
};

use crate::domain::audit::By;
use crate::{
    app::App,
    domain::{
        account_status::Status,
        identity::changes::{Turn, identity_event},
        identity_lookup::{hosted, is_same_endpoint},
    },
};

/// What a document is to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Publish {
    /// What the account here has.
    Here,
    /// That the identity has moved.
    Elsewhere {
        /// The origin of the server it has moved to.
        endpoint: String,
        /// The did:key that signs its repository there.
        signing_key: String,
        /// The handle it has there; as it was, without one.
        handle: Option<String>,
    },
}

/// A did:web that was made here, and what is shown of it.
#[derive(Debug)]
pub struct Shown {
    /// The DID.
    pub did: Did,
    /// Whether an account here has it.
    pub has_account: bool,
    /// Whether its document names another server.
    pub is_elsewhere: bool,
    /// Its document; none when its account is gone and it has not moved.
    pub document: Option<DidDocument>,
}

/// Why nothing was shown or published.
#[derive(Debug, thiserror::Error)]
pub enum DidWebError {
    /// There is no such account, or it is on another DID.
    #[error("{0} has no did:web that was made here")]
    NotFound(String),
    /// The server's address is not one that a document can name.
    #[error("the address of a server is its scheme, host and port alone, as https://pds.example.com")]
    Endpoint,
    /// It is this server's address.
    #[error("that is this server itself; --reset publishes it")]
    ThisServer,
    /// The key is none.
    #[error("the signing key is not a did:key with a P-256 or K-256 public key")]
    SigningKey,
    /// The handle is none.
    #[error("{0}")]
    Handle(String),
    /// Another change of the identity or account is being made.
    #[error("Another change of this identity is under way; try again")]
    UnderWay,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// It could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Shows a did:web that was made here, named by its account, or by itself or its host when that is gone.
pub async fn show(app: &App, account: &str) -> Result<Shown, DidWebError> {
    let hosted = found(app, account).await?;
    Ok(Shown {
        has_account: hosted.account.is_some(),
        is_elsewhere: hosted.elsewhere.is_some(),
        document: app.identities.hosted_document(&hosted),
        did: hosted.did,
    })
}

/// Publishes what the document says from now on; the network is told when the account here is active.
pub async fn publish(app: &Arc<App>, by: &By, account: &str, publish: Publish) -> Result<Shown, DidWebError> {
    let outcome = try_publish(app, by, account, publish).await;
    if let Err(error) = &outcome {
        app.audit.refused(by, account, error).await;
    }
    outcome
}

async fn try_publish(app: &Arc<App>, by: &By, account: &str, publish: Publish) -> Result<Shown, DidWebError> {
    let did = found(app, account).await?.did;
    let _turn = Turn::take(app, &did).map_err(|_| DidWebError::UnderWay)?;
    // Read within the turn, in which handle and key stay as they are.
    let hosted = found(app, did.as_str()).await?;
    let elsewhere = match publish {
        Publish::Here => None,
        Publish::Elsewhere { endpoint, signing_key, handle } => {
            Some(elsewhere(app, &hosted, &endpoint, &signing_key, handle.as_deref())?)
        }
    };
    let mut txn = Txn::new();
    did_web::publish(&mut txn, &did, elsewhere.as_ref());
    app.audit.note(&mut txn, by, did.as_str());
    if let Some(account) = app.accounts.by_did(&did).await?
        && Status::of(&account).is_active()
    {
        stored::assert_active(&mut txn, &did);
        let handle = elsewhere.map_or(account.handle, |elsewhere| elsewhere.handle);
        txn.event(identity_event(&did, &handle, app.clock.now_micros()));
    }
    match app.db.commit(txn).await {
        Ok(_) => show(app, did.as_str()).await,
        Err(CommitError::Conflict(ConflictKey::AccountInactive)) => Err(DidWebError::UnderWay),
        Err(error) => Err(error.into()),
    }
}

fn elsewhere(
    app: &App,
    hosted: &HostedDid,
    endpoint: &str,
    signing_key: &str,
    handle: Option<&str>,
) -> Result<Elsewhere, DidWebError> {
    let signing_key = DidKey::parse(signing_key.trim()).map_err(|_| DidWebError::SigningKey)?;
    let known = || {
        let account = hosted.account.as_ref().map(|(handle, _)| handle);
        account.or(hosted.elsewhere.as_ref().map(|elsewhere| &elsewhere.handle)).cloned()
    };
    let handle = match handle {
        Some(handle) => Handle::parse(handle).map_err(|error| DidWebError::Handle(error.to_string()))?,
        None => known().or_else(|| hosted::host_of(&hosted.did)).unwrap_or_else(Handle::invalid),
    };
    // Whoever reads the document takes only what it takes for an origin.
    let document = hosted::rendered(&hosted.did, &handle, &signing_key, endpoint.trim());
    let endpoint = document.pds_endpoint().ok_or(DidWebError::Endpoint)?.to_owned();
    if is_same_endpoint(&endpoint, &app.config.service.public_url) {
        return Err(DidWebError::ThisServer);
    }
    Ok(Elsewhere { endpoint, signing_key, handle })
}

async fn found(app: &App, account: &str) -> Result<HostedDid, DidWebError> {
    let did = match app.accounts.find(account).await? {
        Some(account) => Some(account.did),
        None => match AtIdentifier::parse(account.trim()) {
            Ok(AtIdentifier::Did(did)) => Some(did),
            Ok(AtIdentifier::Handle(host)) => hosted::did_of(&host),
            Err(_) => None,
        },
    };
    let hosted = match did {
        Some(did) => app.identities.find_hosted(&did).await?,
        None => None,
    };
    hosted.ok_or_else(|| DidWebError::NotFound(account.trim().to_owned()))
}
