//! `com.atproto.repo.createRecord`: writes a record that is new.
//!
//! Lexicon: `lexicons/com/atproto/repo/createRecord.json`.

use std::sync::Arc;

use allod_atproto::{AtUri, RecordKey, repo::RecordPath};
use allod_lexicon::com_atproto::repo::create_record::{CreateRecord, Output};

use super::commit_meta;
use crate::{
    app::App,
    domain::repos::{
        record::{self, Validate},
        write::{self, Action, RecordWrite, Request},
    },
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Writes the record, under a key of the server's making if none is given.
pub async fn handler(app: Arc<App>, request: XrpcRequest<CreateRecord, Access>) -> XrpcResult<CreateRecord> {
    let (account, input) = (&request.auth.0.account, request.input);
    write::authorise(&app, account, &input.repo).await?;
    let key = input.rkey.unwrap_or_else(|| RecordKey::from(app.repos.next_key(app.clock.now_micros())));
    let validate = Validate::from(input.validate);
    let record = record::prepare(&app.schemas, &input.collection, &key, input.record, validate)?;
    let (cid, status) = (record.cid, record.status);
    let path = RecordPath::new(&input.collection, &key);
    let action = Action::Create { record, replaces_same_subject: validate != Validate::Off };
    let writes = vec![RecordWrite { path, action }];
    let request = Request { writes, swap_commit: input.swap_commit, commits_always: false };
    let commit = write::apply_writes(&app, &account.did, request).await?;
    Ok(XrpcResponse::new(Output {
        uri: AtUri::record(&account.did, &input.collection, &key),
        cid,
        commit: commit.map(commit_meta),
        validation_status: status.map(|status| status.name().to_owned()),
    }))
}
