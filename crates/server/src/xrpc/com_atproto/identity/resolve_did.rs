//! `com.atproto.identity.resolveDid`: the document of a DID.
//!
//! Lexicon: `lexicons/com/atproto/identity/resolveDid.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::identity::resolve_did::{Output, ResolveDid};
use allod_net::resolver::Freshness;

use crate::{
    app::App,
    domain::identity::resolution,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Resolves the DID.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ResolveDid, Anonymous>) -> XrpcResult<ResolveDid> {
    let document = resolution::document(&app, &request.params.did, Freshness::Cached).await?;
    Ok(XrpcResponse::new(Output { did_doc: document.json().clone() }))
}
