//! Who asks for an account: anybody, or the owner of a DID by a service token.

use allod_atproto::Nsid;

use super::{AuthError, AuthRequest, Authenticate, Credential};
use crate::{
    app::App,
    domain::{service_auth::ServiceAuthError, sign_up::Caller},
    xrpc::error::{CommonError, XrpcError},
};

/// The caller of createAccount. A token whose issuer can't be resolved is told of later, by the names the method
/// declares for it.
pub struct SignUpCaller(pub Caller);

impl Authenticate<App> for SignUpCaller {
    async fn authenticate(request: AuthRequest<'_, App>) -> Result<Self, AuthError> {
        let token = match request.credential()? {
            Credential::None => return Ok(Self(Caller::Anonymous)),
            Credential::Bearer(token) => token,
            Credential::Dpop(_) | Credential::Basic { .. } | Credential::UnreadableBasic => {
                return Err(XrpcError::common(CommonError::AuthenticationRequired, "Invalid authorization header"));
            }
        };
        let method = Nsid::parse(request.nsid).map_err(XrpcError::internal)?;
        match request.state.service_auth.verify(token, &method).await {
            Ok(principal) => Ok(Self(Caller::Verified(principal))),
            Err(ServiceAuthError::Unresolvable { did, source }) => {
                tracing::info!(%did, %source, "the issuer of a service token can't be resolved");
                Ok(Self(Caller::Unresolvable(did)))
            }
            Err(ServiceAuthError::NoKey { did }) => Ok(Self(Caller::NoKey(did))),
            Err(ServiceAuthError::Token(error)) => Err(error.into()),
            Err(ServiceAuthError::Read(error)) => Err(error.into()),
        }
    }
}
