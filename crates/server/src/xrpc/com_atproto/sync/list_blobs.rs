//! `com.atproto.sync.listBlobs`: the blobs that a repository's records refer to.
//!
//! Lexicon: `lexicons/com/atproto/sync/listBlobs.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::sync::list_blobs::{ListBlobs, Output};

use crate::{
    app::App,
    domain::repos::blobs,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::RepoReader, params::cid_cursor},
};

/// Lists their CIDs.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ListBlobs, RepoReader>) -> XrpcResult<ListBlobs> {
    let params = request.params;
    let after = cid_cursor(params.cursor.as_deref()).map_err(crate::xrpc::XrpcError::widen)?;
    let page = blobs::list(&app, &params.did, params.since, after, params.limit, &request.auth.0).await?;
    Ok(XrpcResponse::new(Output { cursor: page.cursor.map(|cid| cid.to_string()), cids: page.items }))
}
