//! `com.atproto.sync.getBlocks`: blocks of a repository by their CIDs.
//!
//! Lexicon: `lexicons/com/atproto/sync/getBlocks.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::sync::get_blocks::GetBlocks;

use crate::{
    app::App,
    domain::repos::export,
    xrpc::{XrpcRequest, XrpcResult, auth::RepoReader},
};

/// Gives nodes, records and the commit; all that were asked for, or an error. How many are asked for is bounded by
/// [`QUERY_PARAMS_MAX`](crate::limits::QUERY_PARAMS_MAX).
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetBlocks, RepoReader>) -> XrpcResult<GetBlocks> {
    let params = request.params;
    let taker = request.context.taker(request.auth.0.account());
    super::car(export::blocks(&app, &params.did, &request.auth.0, &taker, &params.cids).await?).await
}
