//! A did:web under one of this server's own domains, which exists once its account does: this server keeps its
//! document.

use allod_atproto::{Did, Handle};

use super::{
    Caller, SignUpError,
    operation::{self, AtOnce},
};
use crate::{
    app::App,
    domain::{
        handles::{self, AdmissibleHandle},
        identity_lookup::hosted::{self, host_of},
    },
};

/// Tells whether a DID that is asked for is one to be made here. One that is not, exists: its owner moves in.
pub(super) async fn is_to_be_made(
    app: &App,
    did: &Did,
    admissible: &AdmissibleHandle,
    caller: &Caller,
) -> Result<bool, SignUpError> {
    if !app.config.sign_up.did_web_accounts {
        return Ok(false);
    }
    let Some(host) = host_of(did) else { return Ok(false) };
    let is_own_name = is_own_name(app, &host);
    let is_verified = matches!(caller, Caller::Verified(principal) if principal.did == *did);
    if is_verified || !(is_own_name || app.handles.is_under_service_domain(&host)) {
        return Ok(false);
    }
    let incompatible = |message: &str| Err(SignUpError::IncompatibleDidDoc(message.to_owned()));
    if let Some(made) = app.identities.find_hosted(did).await? {
        return match (made.account, made.elsewhere) {
            (Some(_), _) if handles::is_host_of(admissible.handle(), did) => {
                Err(SignUpError::HandleTaken(admissible.handle().clone()))
            }
            (Some(_), _) => Err(SignUpError::AccountExists),
            (None, Some(_)) => Ok(false),
            (None, None) => incompatible(USED_BEFORE),
        };
    }
    if is_own_name {
        return incompatible("this did:web is at a name of the server's own");
    }
    if !matches!(admissible, AdmissibleHandle::Service(handle) if handles::is_host_of(handle, did)) {
        return incompatible("a did:web under a domain of this server is made with its own host name as the handle");
    }
    // The operator may have given the name to another machine, whose did:web is not ours to make.
    Ok(!app.identities.exists_elsewhere(did).await)
}

/// What is said of a did:web whose account is gone.
pub(super) const USED_BEFORE: &str = "this did:web was used before, and is not given to anybody again";

/// The key and document of a did:web that is to be made.
pub(super) async fn make(app: &App, did: Did, handle: &Handle) -> Result<AtOnce, SignUpError> {
    let key = operation::key_for(app, &did).await?;
    let document = hosted::rendered(&did, handle, &key.signing.did_key(), &app.config.service.public_url);
    Ok(AtOnce { did, key, document: document.into_json() })
}

/// Whether a host is the server's, or a domain that handles are given under.
fn is_own_name(app: &App, host: &Handle) -> bool {
    let service = &app.config.service;
    let host = host.as_str();
    host.eq_ignore_ascii_case(&service.hostname)
        || service.did.as_str().strip_prefix("did:web:") == Some(host)
        || app.handles.domains().iter().any(|domain| domain.trim_start_matches('.') == host)
}
