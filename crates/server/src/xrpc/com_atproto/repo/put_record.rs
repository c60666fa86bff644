//! `com.atproto.repo.putRecord`: writes a record, new or not.
//!
//! Lexicon: `lexicons/com/atproto/repo/putRecord.json`.

use std::sync::Arc;

use allod_atproto::{AtUri, repo::RecordPath};
use allod_lexicon::{
    com_atproto::repo::put_record::{Output, PutRecord},
    wire::OrNull,
};

use super::commit_meta;
use crate::{
    app::App,
    domain::repos::{
        legacy, record,
        write::{self, Action, RecordWrite, Request, Swap},
    },
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Writes the record; one that is there already, byte for byte, makes no commit.
pub async fn handler(app: Arc<App>, request: XrpcRequest<PutRecord, Access>) -> XrpcResult<PutRecord> {
    let (account, input) = (&request.auth.0.account, request.input);
    write::authorise(&app, account, &input.repo).await?;
    let path = RecordPath::new(&input.collection, &input.rkey);
    let mut value = input.record;
    legacy::upgrade(&app, &account.did, &path, &mut value).await?;
    let record = record::prepare(&app.schemas, &input.collection, &input.rkey, value, input.validate.into())?;
    let (cid, status) = (record.cid, record.status);
    let swap = match input.swap_record {
        None => Swap::Any,
        Some(OrNull::Null) => Swap::Is(None),
        Some(OrNull::Value(cid)) => Swap::Is(Some(cid)),
    };
    let writes = vec![RecordWrite { path, action: Action::Put { record, swap } }];
    let request = Request { writes, swap_commit: input.swap_commit, commits_always: false };
    let commit = write::apply_writes(&app, &account.did, request).await?;
    Ok(XrpcResponse::new(Output {
        uri: AtUri::record(&account.did, &input.collection, &input.rkey),
        cid,
        commit: commit.map(commit_meta),
        validation_status: status.map(|status| status.name().to_owned()),
    }))
}
