//! `com.atproto.server.createAccount`: a handle, a DID, a signed repository and a session.
//!
//! Lexicon: `lexicons/com/atproto/server/createAccount.json`.

use std::sync::Arc;

use allod_base::secret::Secret;
use allod_lexicon::com_atproto::server::create_account::{CreateAccount, Output};

use crate::{
    app::App,
    domain::sign_up::{SignUpRequest, sign_up},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::SignUpCaller},
};

/// Signs a person up.
pub async fn handler(app: Arc<App>, request: XrpcRequest<CreateAccount, SignUpCaller>) -> XrpcResult<CreateAccount> {
    let input = request.input;
    let mut signed_up = sign_up(
        &app,
        SignUpRequest {
            handle: input.handle,
            email: input.email,
            password: input.password.map(Secret::new),
            invite_code: input.invite_code,
            did: input.did,
            plc_op: input.plc_op,
            recovery_key: input.recovery_key,
            verification_code: input.verification_code,
            verification_phone: input.verification_phone,
            caller: request.auth.0,
            address: Some(request.context.client),
            by_operator: false,
            reserved_allowed: false,
        },
    )
    .await?;
    let tokens = signed_up.take_tokens()?;
    let caller = signed_up.account.did.clone();
    let output = Output {
        access_jwt: tokens.access,
        refresh_jwt: tokens.refresh,
        handle: signed_up.account.handle,
        did: signed_up.account.did,
        did_doc: signed_up.did_document,
    };
    Ok(XrpcResponse::new(output).caller(caller))
}
