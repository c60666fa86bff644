//! Who may have signed what is imported: the account, by a key that its DID document names or has named, or this
//! server.
//!
//! The document's key is that of the host before, and ours once the identity has moved. A repository that is imported
//! after that is still the old host's, so the did:plc log is asked for the keys before.

use allod_atproto::{Did, did_doc::DidDocument, repo::SignedCommit};
use allod_net::resolver::{Freshness, ResolveError};
use allod_plc::rules::verify_audit_log;
use allod_store::tables::signing_keys;

use super::ImportError;
use crate::{app::App, domain::identity_lookup::DocumentError};

/// Checks that the account or this server has signed the commit.
pub(super) async fn check(app: &App, did: &Did, commit: &SignedCommit) -> Result<(), ImportError> {
    let ours = signing_keys::by_did(&*app.db, did).await?;
    if ours.is_some_and(|key| commit.verify(&key.did_key).is_ok()) {
        return Ok(());
    }
    for freshness in [Freshness::Cached, Freshness::Fresh] {
        let document = app.identities.resolve_document(did, freshness).await.map_err(|error| match error {
            DocumentError::Resolve(error) => ImportError::Unresolvable(error),
            DocumentError::Read(error) => ImportError::Read(error),
        })?;
        if is_signed_by(&document, commit) {
            return Ok(());
        }
    }
    if was_signed_before(app, did, commit).await? { Ok(()) } else { Err(ImportError::Signature) }
}

fn is_signed_by(document: &DidDocument, commit: &SignedCommit) -> bool {
    document.signing_key().is_some_and(|key| commit.verify(&key).is_ok())
}

/// Tells whether a key that the did:plc once had has signed the commit.
async fn was_signed_before(app: &App, did: &Did, commit: &SignedCommit) -> Result<bool, ImportError> {
    if !did.as_str().starts_with("did:plc:") {
        return Ok(false);
    }
    let log = app.resolver.audit_log(did).await.map_err(|error| {
        ImportError::Unresolvable(ResolveError::Unavailable { did: did.clone(), reason: error.to_string() })
    })?;
    let Some(log) = log else { return Ok(false) };
    if let Err(error) = verify_audit_log(did, &log) {
        tracing::warn!(%did, %error, "the directory's log is not sound");
        return Ok(false);
    }
    let mut states = log.iter().filter(|entry| !entry.nullified).filter_map(|entry| entry.operation.data());
    Ok(states.any(|data| is_signed_by(&data.document(did), commit)))
}
