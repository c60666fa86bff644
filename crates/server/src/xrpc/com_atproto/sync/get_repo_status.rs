//! `com.atproto.sync.getRepoStatus`: whether a repository takes part in the network.
//!
//! Lexicon: `lexicons/com/atproto/sync/getRepoStatus.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::sync::get_repo_status::{GetRepoStatus, Output};

use crate::{
    app::App,
    domain::repos,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Tells the status, and the newest revision of an active account.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetRepoStatus, Anonymous>) -> XrpcResult<GetRepoStatus> {
    let did = request.params.did;
    let repo = repos::status(&app, &did).await?;
    Ok(XrpcResponse::new(Output {
        active: repo.status.is_active(),
        status: repo.status.name().map(str::to_owned),
        rev: repo.rev,
        did,
    }))
}
