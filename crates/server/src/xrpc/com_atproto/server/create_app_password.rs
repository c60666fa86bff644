//! `com.atproto.server.createAppPassword`: makes a password for one app, told this once.
//!
//! Lexicon: `lexicons/com/atproto/server/createAppPassword.json`.

use std::sync::Arc;

use allod_atproto::Datetime;
use allod_base::clock;
use allod_lexicon::com_atproto::server::create_app_password::{CreateAppPassword, Output};

use crate::{
    app::App,
    domain::sessions::app_passwords,
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::FullAccess},
};

/// Makes an app password.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<CreateAppPassword, FullAccess>,
) -> XrpcResult<CreateAppPassword> {
    let XrpcRequest { auth: FullAccess(session), input, .. } = request;
    let privileged = input.privileged.unwrap_or(false);
    let (row, password) = app_passwords::create(&app, &session.account.did, &input.name, privileged).await?;
    let created_at = clock::datetime(clock::from_store(row.created_at));
    Ok(XrpcResponse::new(Output {
        name: row.name,
        password: password.expose().clone(),
        created_at: Datetime::parse(&created_at).map_err(XrpcError::internal)?,
        privileged: Some(row.privileged),
    }))
}
