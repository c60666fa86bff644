//! `com.atproto.repo.applyWrites`: several writes in one commit, all or none.
//!
//! Lexicon: `lexicons/com/atproto/repo/applyWrites.json`.

use std::sync::Arc;

use allod_atproto::{
    AtUri, Did, RecordKey,
    repo::{OPS_MAX, RecordPath},
};
use allod_lexicon::com_atproto::repo::apply_writes::{
    ApplyWrites, CreateResult, DeleteResult, InputWritesItem, Output, OutputResultsItem, UpdateResult,
};

use super::commit_meta;
use crate::{
    app::App,
    domain::repos::{
        legacy,
        record::{self, RecordError, Validate},
        write::{self, Action, RecordWrite, Request, Swap, WriteError},
    },
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Carries the writes out and answers one result for each, in order.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ApplyWrites, Access>) -> XrpcResult<ApplyWrites> {
    let (account, input) = (&request.auth.0.account, request.input);
    write::authorise(&app, account, &input.repo).await?;
    if input.writes.len() > OPS_MAX {
        return Err(WriteError::TooManyWrites.into());
    }
    let (mut writes, mut results) = (Vec::with_capacity(input.writes.len()), Vec::with_capacity(input.writes.len()));
    for (index, mut item) in input.writes.into_iter().enumerate() {
        if let InputWritesItem::Update(update) = &mut item {
            let path = RecordPath::new(&update.collection, &update.rkey);
            legacy::upgrade(&app, &account.did, &path, &mut update.value).await?;
        }
        let read = read(&app, &account.did, item, input.validate.into());
        let (write, result) = read.map_err(|error| error.in_write(index))?;
        writes.push(write);
        results.push(result);
    }
    let request = Request { writes, swap_commit: input.swap_commit, commits_always: true };
    let commit = write::apply_writes(&app, &account.did, request).await?;
    Ok(XrpcResponse::new(Output { commit: commit.map(commit_meta), results: Some(results) }))
}

/// Reads one of the writes, and what is answered when it is done.
fn read(
    app: &App,
    did: &Did,
    item: InputWritesItem,
    validate: Validate,
) -> Result<(RecordWrite, OutputResultsItem), RecordError> {
    match item {
        InputWritesItem::Create(create) => {
            let key = create.rkey.unwrap_or_else(|| RecordKey::from(app.repos.next_key(app.clock.now_micros())));
            let record = record::prepare(&app.schemas, &create.collection, &key, create.value, validate)?;
            let result = CreateResult {
                uri: AtUri::record(did, &create.collection, &key),
                cid: record.cid,
                validation_status: record.status.map(|status| status.name().to_owned()),
            };
            let action = Action::Create { record, replaces_same_subject: false };
            let write = RecordWrite { path: RecordPath::new(&create.collection, &key), action };
            Ok((write, OutputResultsItem::CreateResult(Box::new(result))))
        }
        InputWritesItem::Update(update) => {
            let record = record::prepare(&app.schemas, &update.collection, &update.rkey, update.value, validate)?;
            let result = UpdateResult {
                uri: AtUri::record(did, &update.collection, &update.rkey),
                cid: record.cid,
                validation_status: record.status.map(|status| status.name().to_owned()),
            };
            let path = RecordPath::new(&update.collection, &update.rkey);
            let write = RecordWrite { path, action: Action::Update { record } };
            Ok((write, OutputResultsItem::UpdateResult(Box::new(result))))
        }
        InputWritesItem::Delete(delete) => {
            let action = Action::Delete { swap: Swap::Any, may_be_missing: false };
            let write = RecordWrite { path: RecordPath::new(&delete.collection, &delete.rkey), action };
            Ok((write, OutputResultsItem::DeleteResult(Box::new(DeleteResult {}))))
        }
    }
}
