//! `com.atproto.repo.getRecord`: one record.
//!
//! Lexicon: `lexicons/com/atproto/repo/getRecord.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::repo::get_record::GetRecord;

use crate::{
    app::App,
    domain::repos::read,
    reply,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Shows the record as it is now.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetRecord, Anonymous>) -> XrpcResult<GetRecord> {
    let params = request.params;
    let record = read::record(&app, &params.repo, &params.collection, &params.rkey, params.cid).await?;
    let mut body = Vec::with_capacity(record.json_bytes());
    record.write_json(&mut body)?;
    Ok(XrpcResponse::bytes(reply::JSON, body))
}
