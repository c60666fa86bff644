//! The operator and the moderators: by the administration password, a named token, or as the moderation service.

use allod_atproto::Nsid;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{AuthError, AuthRequest, Authenticate, Credential};
use crate::{
    app::App,
    domain::{
        administration::{Actor, AdminScope, By, tokens},
        secret::Secret,
        service_auth::{self, ModerationTokenError, ServiceAuthError},
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
        match holder(request.state, &request.credential()?).await? {
            Some((actor, AdminScope::Admin)) => Ok(Self(actor)),
            Some((_, AdminScope::Moderator)) => {
                Err(XrpcError::common(CommonError::Forbidden, "This token opens what moderators need and no more"))
            }
            None => Err(unknown()),
        }
    }
}

impl Authenticate<App> for Moderator {
    const CHALLENGE: &'static str = "Basic realm=\"admin\"";

    async fn authenticate(request: AuthRequest<'_, App>) -> Result<Self, AuthError> {
        let credential = request.credential()?;
        if let Some((actor, _)) = holder(request.state, &credential).await? {
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
    pub async fn check(app: &App, credential: &Credential<'_>) -> Result<Self, AuthError> {
        match holder(app, credential).await? {
            Some((actor, _)) => Ok(Self(actor)),
            None => Err(unknown()),
        }
    }
}

fn unknown() -> AuthError {
    XrpcError::common(CommonError::AuthenticationRequired, "Authentication Required")
}

/// Who has the password or a token.
async fn holder(app: &App, credential: &Credential<'_>) -> Result<Option<(Actor, AdminScope)>, AuthError> {
    let password = app.config.secrets.admin_password.as_ref();
    let shown = match credential {
        Credential::Basic { user, password: shown } if user == USER => {
            if password.is_some_and(|password| same(shown, password)) {
                return Ok(Some((Actor::Password, AdminScope::Admin)));
            }
            Secret::new(shown.expose().clone())
        }
        Credential::Bearer(token) => Secret::new((*token).to_owned()),
        Credential::Basic { .. } | Credential::UnreadableBasic | Credential::Dpop(_) | Credential::None => {
            return Ok(None);
        }
    };
    let token = tokens::find(app, &shown).await?;
    Ok(token.map(|token| (Actor::Token(token.name), token.scope)))
}

async fn moderation_service(request: &AuthRequest<'_, App>, token: &str) -> Result<Moderator, AuthError> {
    let method = Nsid::parse(request.nsid).map_err(XrpcError::internal)?;
    let error = match service_auth::verify_moderation(request.state, token, &method).await {
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

/// Compares digests, so that neither content nor length shows in the time it takes.
fn same(left: &Secret<String>, right: &Secret<String>) -> bool {
    let digest = |secret: &Secret<String>| Sha256::digest(secret.expose().as_bytes());
    digest(left).as_slice().ct_eq(digest(right).as_slice()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_equal_secrets_are_the_same() {
        let secret = |text: &str| Secret::new(text.to_owned());
        assert!(same(&secret("hunter2"), &secret("hunter2")));
        for wrong in ["hunter3", "hunter22", "hunter", ""] {
            assert!(!same(&secret(wrong), &secret("hunter2")), "{wrong}");
        }
    }
}
