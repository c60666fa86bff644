//! `com.atproto.repo.deleteRecord`: deletes a record, or sees that there is none.
//!
//! Lexicon: `lexicons/com/atproto/repo/deleteRecord.json`.

use std::sync::Arc;

use allod_atproto::repo::RecordPath;
use allod_lexicon::com_atproto::repo::delete_record::{DeleteRecord, Output};

use super::commit_meta;
use crate::{
    app::App,
    domain::repos::write::{self, Action, RecordWrite, Request, Swap},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Deletes the record; a missing one makes no commit.
pub async fn handler(app: Arc<App>, request: XrpcRequest<DeleteRecord, Access>) -> XrpcResult<DeleteRecord> {
    let (account, input) = (&request.auth.0.account, request.input);
    write::authorise(&app, account, &input.repo).await?;
    let swap = input.swap_record.map_or(Swap::Any, |cid| Swap::Is(Some(cid)));
    let path = RecordPath::new(&input.collection, &input.rkey);
    let writes = vec![RecordWrite { path, action: Action::Delete { swap, may_be_missing: true } }];
    let request = Request { writes, swap_commit: input.swap_commit, commits_always: false };
    let commit = write::apply_writes(&app, &account.did, request).await?;
    Ok(XrpcResponse::new(Output { commit: commit.map(commit_meta) }))
}
