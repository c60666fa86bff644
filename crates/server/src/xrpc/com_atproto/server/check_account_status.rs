//! `com.atproto.server.checkAccountStatus`: how far an account has come here, for those who move.
//!
//! Lexicon: `lexicons/com/atproto/server/checkAccountStatus.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::server::check_account_status::{CheckAccountStatus, Output};

use crate::{
    app::App,
    domain::accounts::activation,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Access},
};

/// Counts what the account of the session has here.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<CheckAccountStatus, Access>,
) -> XrpcResult<CheckAccountStatus> {
    let progress = activation::progress(&app, &request.auth.0.account).await?;
    let number = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    Ok(XrpcResponse::new(Output {
        activated: progress.is_activated,
        valid_did: progress.is_did_valid,
        repo_commit: progress.commit,
        repo_rev: progress.rev.to_string(),
        repo_blocks: number(progress.blocks),
        indexed_records: number(progress.records),
        private_state_values: 0,
        expected_blobs: progress.blobs_expected,
        imported_blobs: progress.blobs_stored,
    }))
}
