//! `com.atproto.sync.getRepo`: a repository as a CAR file.
//!
//! Lexicon: `lexicons/com/atproto/sync/getRepo.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::sync::get_repo::GetRepo;
use http::HeaderValue;

use crate::{
    app::App,
    domain::repos,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::RepoReader},
};

/// Exports the whole repository, also to a reader who has part of it.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetRepo, RepoReader>) -> XrpcResult<GetRepo> {
    let car = repos::export(&app, &request.params.did, &request.auth.0).await?;
    Ok(XrpcResponse::bytes(HeaderValue::from_static("application/vnd.ipld.car"), car))
}
