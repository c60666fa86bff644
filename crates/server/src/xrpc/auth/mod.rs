//! Who may call a method: each endpoint names its kind of caller as a type, and a request reaches the handler only
//! as that type.

mod admin;
mod credential;
mod session;
mod sign_up;
mod uploader;

use std::{future::Future, net::IpAddr, sync::Arc};

use allod_atproto::Did;
use allod_lexicon::method::NoErrors;
use http::HeaderMap;

use super::error::XrpcError;

pub use admin::{Admin, Moderator};
pub use credential::Credential;
pub use session::{Access, AccessOrQueued, AccessOrTakenDown, FullAccess, FullOrTakenDown, RefreshToken, RepoReader};
pub use sign_up::SignUpCaller;
pub use uploader::Uploader;

/// Why a caller is refused, or a fault while finding out.
pub type AuthError = XrpcError<NoErrors>;

/// What a caller is known by.
pub struct AuthRequest<'a, S> {
    /// The request's headers.
    pub headers: &'a HeaderMap,
    /// The caller's address.
    pub client: IpAddr,
    /// The method that is called, which a service token must name.
    pub nsid: &'static str,
    /// The server.
    pub state: &'a Arc<S>,
}

impl<'a, S> AuthRequest<'a, S> {
    /// Reads the credential that was sent.
    pub fn credential(&self) -> Result<Credential<'a>, AuthError> {
        Credential::read(self.headers)
    }
}

/// A kind of caller. A value of the type is the proof that the request is one's.
pub trait Authenticate<S>: Sized + Send + 'static {
    /// What a 401 asks for.
    const CHALLENGE: &'static str = "Bearer";

    /// Whether the answer depends on who asks, and so must not be kept by shared caches.
    const IS_PRIVATE: bool = true;

    /// Checks the caller.
    fn authenticate(request: AuthRequest<'_, S>) -> impl Future<Output = Result<Self, AuthError>> + Send;

    /// The account that calls, for the access log.
    fn account(&self) -> Option<&Did> {
        None
    }
}

/// Anyone; a credential is not even looked at.
#[derive(Debug, Clone, Copy)]
pub struct Anonymous;

impl<S: Send + Sync> Authenticate<S> for Anonymous {
    const IS_PRIVATE: bool = false;

    async fn authenticate(_: AuthRequest<'_, S>) -> Result<Self, AuthError> {
        Ok(Self)
    }
}
