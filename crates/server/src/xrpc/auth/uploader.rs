//! Who uploads a blob: an account, or a service that the account gave a token for it.

use std::sync::Arc;

use allod_atproto::{Did, Nsid, service_auth::ServiceToken};

use super::{Access, AuthError, AuthRequest, Authenticate, session::bearer};
use crate::{
    app::App,
    domain::{service_auth::ServiceAuthError, sessions::SessionError},
    xrpc::error::{CommonError, XrpcError},
};

/// The account that a blob is uploaded to, active or deactivated.
pub struct Uploader(pub Did);

impl Authenticate<App> for Uploader {
    async fn authenticate(request: AuthRequest<'_, App>) -> Result<Self, AuthError> {
        let token = bearer(&request.credential()?)?;
        let account = if ServiceToken::decode(token.expose()).is_ok() {
            let did = issuer(&request, token.expose()).await?;
            let account = request.state.accounts.by_did(&did).await?;
            Arc::new(account.ok_or(SessionError::AccountGone(did))?)
        } else {
            Access::authenticate(request).await?.0.account
        };
        if account.takedown_ref.is_some() {
            return Err(SessionError::TakenDown.into());
        }
        Ok(Self(account.did.clone()))
    }

    fn account(&self) -> Option<&Did> {
        Some(&self.0)
    }
}

/// Checks a service's token. It may be used again while it lasts, so that an upload that broke off can be repeated.
async fn issuer(request: &AuthRequest<'_, App>, token: &str) -> Result<Did, AuthError> {
    let method = Nsid::parse(request.nsid).map_err(XrpcError::internal)?;
    match request.state.service_auth.verify(token, &method).await {
        Ok(principal) => Ok(principal.did),
        Err(ServiceAuthError::Token(error)) => Err(error.into()),
        Err(ServiceAuthError::Read(error)) => Err(error.into()),
        Err(error @ (ServiceAuthError::Unresolvable { .. } | ServiceAuthError::NoKey { .. })) => {
            tracing::info!(%error, "the issuer of a service token can't be checked");
            Err(XrpcError::common(CommonError::AuthenticationRequired, error.to_string()))
        }
    }
}
