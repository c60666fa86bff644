//! `com.atproto.sync.getHead`: the old form of getLatestCommit.
//!
//! Lexicon: `lexicons/com/atproto/sync/getHead.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::sync::get_head::{GetHead, Output};

use crate::{
    app::App,
    domain::repos,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::RepoReader},
};

/// Tells the newest commit's CID.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetHead, RepoReader>) -> XrpcResult<GetHead> {
    let (root, _) = repos::latest_commit(&app, &request.params.did, &request.auth.0).await?;
    Ok(XrpcResponse::new(Output { root }))
}
