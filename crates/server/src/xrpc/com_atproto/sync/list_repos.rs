//! `com.atproto.sync.listRepos`: the repositories of this server.
//!
//! Lexicon: `lexicons/com/atproto/sync/listRepos.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::sync::list_repos::{ListRepos, Output, Repo};
use allod_store::tables::repos::Listed;

use crate::{
    app::App,
    domain::{account_status::Status, repos::list},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Lists the repositories with their newest commits, whatever their status.
pub async fn handler(app: Arc<App>, request: XrpcRequest<ListRepos, Anonymous>) -> XrpcResult<ListRepos> {
    let page = list::all(&app, request.params.cursor.as_deref(), request.params.limit).await?;
    Ok(XrpcResponse::new(Output { cursor: page.cursor, repos: page.repos.into_iter().map(shown).collect() }))
}

fn shown(listed: Listed) -> Repo {
    let status = Status::with(listed.taken_down, listed.deactivated);
    Repo {
        did: listed.did,
        head: listed.commit,
        rev: listed.rev,
        active: Some(status.is_active()),
        status: status.name().map(str::to_owned),
    }
}
