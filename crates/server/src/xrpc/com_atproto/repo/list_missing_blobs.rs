//! `com.atproto.repo.listMissingBlobs`: the blobs that an account's records refer to and that are still to be uploaded.
//!
//! Lexicon: `lexicons/com/atproto/repo/listMissingBlobs.json`.

use std::sync::Arc;

use allod_atproto::AtUri;
use allod_lexicon::com_atproto::repo::list_missing_blobs::{ListMissingBlobs, Output, RecordBlob};

use crate::{
    app::App,
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::Access, params::cid_cursor},
};

/// Lists them, each with one record that refers to it.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ListMissingBlobs, Access>) -> XrpcResult<ListMissingBlobs> {
    let did = &request.auth.0.account.did;
    let after = cid_cursor(request.params.cursor.as_deref())?;
    let page = app.blobs.missing(did, after, request.params.limit).await?;
    let blobs = page.items.into_iter().map(|missing| {
        let record_uri = AtUri::parse(&format!("at://{did}/{}", missing.path)).map_err(XrpcError::internal)?;
        Ok(RecordBlob { cid: missing.cid, record_uri })
    });
    let cursor = page.cursor.map(|cid| cid.to_string());
    Ok(XrpcResponse::new(Output { cursor, blobs: blobs.collect::<Result<_, XrpcError>>()? }))
}
