//! `com.atproto.server.getSession`: who the access token speaks for.
//!
//! Lexicon: `lexicons/com/atproto/server/getSession.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::server::get_session::{GetSession, Output};
use allod_store::tables::accounts::Account;

use crate::{
    app::App,
    domain::{account_status::Status, sessions::SessionError},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::AccessOrQueued},
};

/// Tells the account of the session.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetSession, AccessOrQueued>) -> XrpcResult<GetSession> {
    Ok(XrpcResponse::new(output(&app, &request.auth.0.account).await?))
}

/// Tells an account, unless it was taken down.
pub(crate) async fn output(app: &App, account: &Account) -> Result<Output, SessionError> {
    let status = Status::of(account);
    if status == Status::TakenDown {
        return Err(SessionError::AccountGone(account.did.clone()));
    }
    Ok(Output {
        handle: account.handle.clone(),
        did: account.did.clone(),
        did_doc: app.identities.session_document(&account.did).await,
        email: account.email.clone(),
        email_confirmed: Some(account.email_confirmed_at.is_some()),
        email_auth_factor: Some(account.email_auth_factor),
        active: Some(status.is_active()),
        status: status.name().map(str::to_owned),
    })
}
