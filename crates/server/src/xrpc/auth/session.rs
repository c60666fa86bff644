//! Somebody signed in: by an access token, a refresh token, or optionally.

use allod_atproto::Did;
use allod_base::secret::Secret;

use super::{AuthError, AuthRequest, Authenticate, Credential};
use crate::{
    app::App,
    domain::{
        repos::Reader,
        sessions::{self, Scope, Session, SessionError, TokenError},
    },
    xrpc::{
        auth::Moderator,
        error::{CommonError, XrpcError},
    },
};

/// Makes a kind of caller of the sign-ins that it takes.
macro_rules! session_callers {
    ($($(#[$doc:meta])* $name:ident: $($scope:ident)|+;)+) => {$(
        $(#[$doc])*
        pub struct $name(pub Session);

        impl Authenticate<App> for $name {
            async fn authenticate(request: AuthRequest<'_, App>) -> Result<Self, AuthError> {
                let token = bearer(&request.credential()?)?;
                let session = sessions::authenticate(request.state, token.expose()).await?;
                let is_taken = [$(Scope::$scope),+].contains(&session.scope);
                if is_taken { Ok(Self(session)) } else { Err(SessionError::from(TokenError::Scope).into()) }
            }

            fn account(&self) -> Option<&Did> {
                Some(&self.0.account.did)
            }
        }
    )+};
}

session_callers! {
    /// An account that is not taken down, by any access token.
    Access: Full | App | AppPrivileged;

    /// An account that is not taken down, by an access token that its own password gave: whoever manages the account.
    FullAccess: Full;

    /// An account, by any access token; one that was taken down too.
    AccessOrTakenDown: Full | App | AppPrivileged | TakenDown;

    /// An account, by an access token that its own password gave; one that was taken down too.
    FullOrTakenDown: Full | TakenDown;

    /// An account that is not taken down, by any access token; one that waits in the sign-up queue too.
    AccessOrQueued: Full | App | AppPrivileged | Queued;
}

/// A refresh token, not looked at yet: what it opens is decided where it is used.
pub struct RefreshToken(pub Secret<String>);

impl Authenticate<App> for RefreshToken {
    async fn authenticate(request: AuthRequest<'_, App>) -> Result<Self, AuthError> {
        Ok(Self(bearer(&request.credential()?)?))
    }
}

/// Who reads a repository: anybody, an account, or the operator.
pub struct RepoReader(pub Reader);

impl Authenticate<App> for RepoReader {
    async fn authenticate(request: AuthRequest<'_, App>) -> Result<Self, AuthError> {
        let credential = request.credential()?;
        Ok(Self(match credential {
            Credential::None => Reader::Public,
            Credential::Basic { .. } | Credential::UnreadableBasic => {
                Moderator::check(&request, &credential).await?;
                Reader::Admin
            }
            Credential::Bearer(_) | Credential::Dpop(_) => {
                let token = bearer(&credential)?;
                let session = sessions::authenticate(request.state, token.expose()).await?;
                Reader::Account(session.account.did.clone())
            }
        }))
    }

    fn account(&self) -> Option<&Did> {
        match &self.0 {
            Reader::Account(did) => Some(did),
            Reader::Public | Reader::Admin => None,
        }
    }
}

/// Reads a token, which must be there.
pub(super) fn bearer(credential: &Credential<'_>) -> Result<Secret<String>, AuthError> {
    match credential {
        Credential::Bearer(token) => Ok(Secret::new((*token).to_owned())),
        Credential::None => Err(XrpcError::common(CommonError::AuthMissing, "Authentication Required")),
        Credential::Dpop(_) | Credential::Basic { .. } | Credential::UnreadableBasic => {
            Err(XrpcError::common(CommonError::InvalidToken, "Unexpected authorization type"))
        }
    }
}
