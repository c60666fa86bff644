//! `com.atproto.sync.getRepo`: a repository as a CAR file.
//!
//! Lexicon: `lexicons/com/atproto/sync/getRepo.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::sync::get_repo::GetRepo;

use crate::{
    app::App,
    domain::repos::export,
    xrpc::{XrpcRequest, XrpcResult, auth::RepoReader},
};

/// Exports the repository; to a reader who has part of it, without the records of that part.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetRepo, RepoReader>) -> XrpcResult<GetRepo> {
    let params = request.params;
    let taker = request.context.taker(request.auth.0.account());
    super::car(export::whole(&app, &params.did, &request.auth.0, &taker, params.since).await?).await
}
