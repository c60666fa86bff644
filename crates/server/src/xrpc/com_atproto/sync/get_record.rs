//! `com.atproto.sync.getRecord`: the proof of what is at a path.
//!
//! Lexicon: `lexicons/com/atproto/sync/getRecord.json`.

use std::sync::Arc;

use allod_atproto::repo::RecordPath;
use allod_lexicon::com_atproto::sync::get_record::GetRecord;

use crate::{
    app::App,
    domain::repos::export,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::RepoReader},
};

/// Proves that a record is there, or that there is none.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetRecord, RepoReader>) -> XrpcResult<GetRecord> {
    let params = request.params;
    let path = RecordPath::new(&params.collection, &params.rkey);
    let taker = request.context.taker(request.auth.0.account());
    let file = export::proof(&app, &params.did, &request.auth.0, &taker, &path).await?;
    Ok(XrpcResponse::bytes(super::CAR, file))
}
