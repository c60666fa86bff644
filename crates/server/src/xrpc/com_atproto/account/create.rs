//! `com.atproto.account.create`: createAccount as it was in the protocol's first year.
//!
//! Lexicon: `lexicons/legacy/com/atproto/account/create.json`.

use std::sync::Arc;

use allod_base::secret::Secret;
use allod_lexicon::com_atproto::account::create::{Create, Output};

use crate::{
    app::App,
    domain::sign_up::{SignUpRequest, sign_up},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Anonymous},
};

/// Signs a person up.
pub async fn handler(app: Arc<App>, request: XrpcRequest<Create, Anonymous>) -> XrpcResult<Create> {
    let input = request.input;
    let mut signed_up = sign_up(
        &app,
        SignUpRequest {
            handle: input.handle,
            email: Some(input.email),
            password: Some(Secret::new(input.password)),
            invite_code: input.invite_code,
            recovery_key: input.recovery_key,
            address: Some(request.context.client),
            ..SignUpRequest::default()
        },
    )
    .await?;
    let tokens = signed_up.take_tokens()?;
    let caller = signed_up.account.did.clone();
    let output = Output {
        access_jwt: tokens.access,
        refresh_jwt: tokens.refresh,
        handle: signed_up.account.handle.to_string(),
        did: signed_up.account.did.to_string(),
    };
    Ok(XrpcResponse::new(output).caller(caller))
}
