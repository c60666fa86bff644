//! `com.atproto.repo.describeRepo`: whose a repository is and which collections it has.
//!
//! Lexicon: `lexicons/com/atproto/repo/describeRepo.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::repo::describe_repo::{DescribeRepo, Output};

use crate::{
    app::App,
    domain::repos::read,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Tells what there is.
pub async fn handler(app: Arc<App>, request: XrpcRequest<DescribeRepo, Anonymous>) -> XrpcResult<DescribeRepo> {
    let described = read::describe(&app, &request.params.repo).await?;
    Ok(XrpcResponse::new(Output {
        handle: described.account.handle,
        did: described.account.did,
        did_doc: described.document,
        collections: described.collections,
        handle_is_correct: described.handle_is_correct,
    }))
}
