//! `com.atproto.server.listAppPasswords`: lists the names of an account's app passwords.
//!
//! Lexicon: `lexicons/com/atproto/server/listAppPasswords.json`.

use std::sync::Arc;

use allod_atproto::Datetime;
use allod_base::clock;
use allod_lexicon::com_atproto::server::list_app_passwords::{AppPassword, ListAppPasswords, Output};

use crate::{
    app::App,
    domain::sessions::app_passwords,
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess},
};

/// Lists app passwords, oldest first.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<ListAppPasswords, FullAccess>,
) -> XrpcResult<ListAppPasswords> {
    let mut passwords = Vec::new();
    for row in app_passwords::list(&app, &request.auth.0.account.did).await? {
        let created_at = clock::datetime(clock::from_store(row.created_at));
        passwords.push(AppPassword {
            name: row.name,
            created_at: Datetime::parse(&created_at).map_err(XrpcError::internal)?,
            privileged: Some(row.privileged),
        });
    }
    Ok(XrpcResponse::new(Output { passwords }))
}
