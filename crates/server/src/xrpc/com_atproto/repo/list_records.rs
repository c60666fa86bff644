//! `com.atproto.repo.listRecords`: a page of a collection.
//!
//! Lexicon: `lexicons/com/atproto/repo/listRecords.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::repo::list_records::ListRecords;

use crate::{
    app::App,
    domain::repos::read::{self, PageRequest},
    reply,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Shows a page, the highest key first unless asked otherwise.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ListRecords, Anonymous>) -> XrpcResult<ListRecords> {
    let params = request.params;
    let page = read::records(
        &app,
        PageRequest {
            repo: &params.repo,
            collection: &params.collection,
            limit: params.limit,
            cursor: params.cursor.as_deref(),
            reverse: params.reverse.unwrap_or(false),
        },
    )
    .await?;
    Ok(XrpcResponse::bytes(reply::JSON, page.write_json()?))
}
