//! `com.atproto.repo.listRecords`: a page of a collection.
//!
//! Lexicon: `lexicons/com/atproto/repo/listRecords.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::repo::list_records::ListRecords;

use crate::{
    app::App,
    domain::repos::read::{self, PageRequest, Shown},
    http::reply,
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
    let bytes: usize = page.records.iter().map(Shown::json_bytes).sum();
    let mut body = Vec::with_capacity(bytes + 64);
    body.extend_from_slice(b"{\"records\":[");
    for (index, record) in page.records.iter().enumerate() {
        if index > 0 {
            body.push(b',');
        }
        record.write_json(&mut body)?;
    }
    body.push(b']');
    if let Some(cursor) = &page.cursor {
        // A record key has nothing that JSON would write otherwise.
        body.extend_from_slice(format!(",\"cursor\":\"{cursor}\"").as_bytes());
    }
    body.push(b'}');
    Ok(XrpcResponse::bytes(reply::JSON, body))
}
