//! `com.atproto.identity.signPlcOperation`: signs what the owner wants of their identity, with a mailed code.
//!
//! Lexicon: `lexicons/com/atproto/identity/signPlcOperation.json`.

use std::sync::Arc;

use allod_lexicon::com_atproto::identity::sign_plc_operation::{Output, SignPlcOperation};

use crate::{
    app::App,
    domain::identity::owner::{self, Wishes},
    xrpc::{XrpcRequest, XrpcResponse, XrpcResult, auth::FullOrTakenDown},
};

/// Signs an operation, which is sent nowhere.
pub async fn handler(
    app: Arc<App>,
    request: XrpcRequest<SignPlcOperation, FullOrTakenDown>,
) -> XrpcResult<SignPlcOperation> {
    let input = request.input;
    let wishes = Wishes {
        rotation_keys: input.rotation_keys,
        also_known_as: input.also_known_as,
        verification_methods: input.verification_methods,
        services: input.services,
    };
    let operation = owner::sign(&app, &request.auth.0.account, input.token.as_deref(), wishes).await?;
    Ok(XrpcResponse::new(Output { operation }))
}
