//! `com.atproto.sync.getLatestCommit`: the newest commit's CID and revision.
//!
//! Lexicon: `lexicons/com/atproto/sync/getLatestCommit.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::sync::get_latest_commit::{GetLatestCommit, Output};

use crate::{
    app::App,
    domain::repos,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::RepoReader},
};

/// Tells the newest commit.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetLatestCommit, RepoReader>) -> XrpcResult<GetLatestCommit> {
    let (cid, rev) = repos::latest_commit(&app, &request.params.did, &request.auth.0).await?;
    Ok(XrpcResponse::new(Output { cid, rev }))
}
