//! `com.atproto.server.createSession`: signs in with a handle, DID or e-mail address and a password.
//!
//! Lexicon: `lexicons/com/atproto/server/createSession.json`.

use std::sync::Arc;

use allod_base::secret::Secret;
use allod_lexicon::{
    Method,
    com_atproto::server::create_session::{CreateSession, Output},
};

use crate::{
    access,
    app::App,
    domain::{
        account_status::Status,
        sessions::{self, SignIn},
    },
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Opens a session.
pub async fn handler(app: Arc<App>, request: XrpcRequest<CreateSession, Anonymous>) -> XrpcResult<CreateSession> {
    let XrpcRequest { input, context, .. } = request;
    let request = SignIn {
        identifier: input.identifier,
        password: Secret::new(input.password),
        auth_factor_code: input.auth_factor_token,
        allow_taken_down: input.allow_takendown.unwrap_or(false),
        address: Some(context.client),
    };
    let (account, tokens) = sessions::sign_in(&app, request).await.inspect_err(|error| {
        if error.is_failed_attempt() {
            access::sign_in_failed(&context, CreateSession::NSID);
        }
    })?;
    let status = Status::of(&account);
    let did_doc = app.identities.session_document(&account.did).await;
    let caller = account.did.clone();
    let output = Output {
        access_jwt: tokens.access,
        refresh_jwt: tokens.refresh,
        handle: account.handle,
        did: account.did,
        did_doc,
        email: account.email,
        email_confirmed: Some(account.email_confirmed_at.is_some()),
        email_auth_factor: Some(account.email_auth_factor),
        active: Some(status.is_active()),
        status: status.name().map(str::to_owned),
    };
    Ok(XrpcResponse::new(output).caller(caller))
}
