//! The operator and the moderators: by the administration password, a named token, or as the moderation service.

use allod_atproto::Nsid;
use allod_base::secret::Secret;

use super::{AuthError, AuthRequest, Authenticate, Credential};
use crate::{
    app::App,
    domain::{
        administration::{
            AdminScope,
            credentials::{self, CredentialError, Shown},
            tokens::TOKEN_PREFIX,
        },
        audit::{Actor, By},
        service_auth::{ModerationTokenError, ServiceAuthError},
    },
    xrpc::error::{CommonError, XrpcError},
};

const USER: &str = "admin";

/// The operator: by the administration password or a token for everything.
#[derive(Debug, Clone)]
pub struct Admin(Actor);

/// A moderator: the operator, a token for moderation, or the moderation service.
#[derive(Debug, Clone)]
pub struct Moderator(Actor);

impl Authenticate<App> for Admin {
    const CHALLENGE: &'static str = "Basic realm=\"admin\"";

    async fn authenticate(request: AuthRequest<'_, App>) -> Result<Self, AuthError> {
        match holder(&request, &request.credential()?).await? {
            Some((actor, AdminScope::Admin)) => Ok(Self(actor)),
            Some((_, AdminScope::Moderator)) => {
                Err(XrpcError::common(CommonError::Forbidden, "This token has moderator scope only"))
            }
            None => Err(unknown()),
        }
    }
}

impl Authenticate<App> for Moderator {
    const CHALLENGE: &'static str = "Basic realm=\"admin\"";

    async fn authenticate(request: AuthRequest<'_, App>) -> Result<Self, AuthError> {
        let credential = request.credential()?;
        if let Some((actor, _)) = holder(&request, &credential).await? {
            return Ok(Self(actor));
        }
        match credential {
            Credential::Bearer(token) if request.state.config.moderation_service_did.is_some() => {
                moderation_service(&request, token).await
            }
            Credential::Bearer(_)
            | Credential::Basic { .. }
            | Credential::UnreadableBasic
            | Credential::Dpop(_)
            | Credential::None => Err(unknown()),
        }
    }
}

impl Admin {
    /// Who does what by a method.
    pub fn by(self, method: &'static str) -> By {
        By { actor: self.0, method }
    }
}

impl Moderator {
    /// Who does what by a method.
    pub fn by(self, method: &'static str) -> By {
        By { actor: self.0, method }
    }

    /// Checks a credential that is no service's token.
    pub async fn check(request: &AuthRequest<'_, App>, credential: &Credential<'_>) -> Result<Self, AuthError> {
        match holder(request, credential).await? {
            Some((actor, _)) => Ok(Self(actor)),
            None => Err(unknown()),
        }
    }
}

fn unknown() -> AuthError {
    XrpcError::common(CommonError::AuthenticationRequired, "Authentication Required")
}

/// Who has the password or a token. What can be neither is nobody's, and no try.
async fn holder(
    request: &AuthRequest<'_, App>,
    credential: &Credential<'_>,
) -> Result<Option<(Actor, AdminScope)>, AuthError> {
    let shown = match credential {
        Credential::Basic { user, password } if user == USER => Shown::Password(Secret::new(password.expose().clone())),
        Credential::Bearer(token) if token.starts_with(TOKEN_PREFIX) => Shown::Token(Secret::new((*token).to_owned())),
        Credential::Basic { .. }
        | Credential::Bearer(_)
        | Credential::UnreadableBasic
        | Credential::Dpop(_)
        | Credential::None => return Ok(None),
    };
    match credentials::find(request.state, &shown, request.client, request.nsid).await {
        Ok(found) => Ok(found),
        Err(CredentialError::Read(error)) => Err(error.into()),
        Err(error @ CredentialError::TooManyTries { retry_after_secs }) => {
            Err(XrpcError::common(CommonError::RateLimitExceeded { retry_after_secs }, error.to_string()))
        }
    }
}

async fn moderation_service(request: &AuthRequest<'_, App>, token: &str) -> Result<Moderator, AuthError> {
    let method = Nsid::parse(request.nsid).map_err(XrpcError::internal)?;
    let error = match request.state.service_auth.verify_moderation(token, &method).await {
        Ok(did) => return Ok(Moderator(Actor::ModerationService(did))),
        Err(error @ ModerationTokenError::Untrusted) => {
            return Err(XrpcError::common(CommonError::UntrustedIss, error.to_string()));
        }
        Err(ModerationTokenError::Service(error)) => error,
    };
    match error {
        ServiceAuthError::Token(error) => Err(error.into()),
        ServiceAuthError::Read(error) => Err(error.into()),
        error @ (ServiceAuthError::Unresolvable { .. } | ServiceAuthError::NoKey { .. }) => {
            tracing::info!(%error, "a token of the moderation service can't be checked");
            Err(XrpcError::common(CommonError::AuthenticationRequired, error.to_string()))
        }
    }
}
