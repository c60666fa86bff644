//! `com.atproto.server.createInviteCodes`: invite codes for several accounts, by the operator.
//!
//! Lexicon: `lexicons/com/atproto/server/createInviteCodes.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::server::create_invite_codes::{AccountCodes, CreateInviteCodes, Output};

use crate::{
    app::App,
    domain::invites,
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::Admin},
};

/// Makes the codes, grouped by the account they are for.
pub async fn handler(app: Arc<App>, request: XrpcRequest<CreateInviteCodes, Admin>) -> XrpcResult<CreateInviteCodes> {
    let input = request.input;
    let owners: Vec<String> = match input.for_accounts {
        Some(dids) if !dids.is_empty() => dids.iter().map(ToString::to_string).collect(),
        Some(_) | None => vec![invites::ADMIN.to_owned()],
    };
    let made = app.invites.create(input.code_count, input.use_count, &owners).await?;
    let made_for_each = (made.len() / owners.len()).max(1);
    let codes = owners
        .into_iter()
        .zip(made.chunks(made_for_each))
        .map(|(account, codes)| AccountCodes { account, codes: codes.iter().map(|code| code.code.clone()).collect() })
        .collect();
    Ok(XrpcResponse::new(Output { codes }))
}
