//! `com.atproto.sync.listReposByCollection`: who has records of a collection.
//!
//! Lexicon: `lexicons/com/atproto/sync/listReposByCollection.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::sync::list_repos_by_collection::{ListReposByCollection, Output, Repo};

use crate::{
    app::App,
    domain::repos::list,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Lists the active accounts that have records of the collection.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<ListReposByCollection, Anonymous>,
) -> XrpcResult<ListReposByCollection> {
    let params = request.params;
    let page = list::with_collection(&app, &params.collection, params.cursor.as_deref(), params.limit).await?;
    let repos = page.repos.into_iter().map(|did| Repo { did }).collect();
    Ok(XrpcResponse::new(Output { cursor: page.cursor, repos }))
}
