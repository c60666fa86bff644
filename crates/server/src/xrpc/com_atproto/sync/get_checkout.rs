//! `com.atproto.sync.getCheckout`: the old name of getRepo.
//!
//! Lexicon: `lexicons/com/atproto/sync/getCheckout.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::sync::get_checkout::GetCheckout;

use crate::{
    app::App,
    domain::repos::export,
    xrpc::{XrpcRequest, XrpcResult, auth::RepoReader},
};

/// Exports the whole repository.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetCheckout, RepoReader>) -> XrpcResult<GetCheckout> {
    let taker = request.context.taker(request.auth.0.account());
    super::car(export::whole(&app, &request.params.did, &request.auth.0, &taker, None).await?).await
}
