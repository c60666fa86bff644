//! Tokens that an account here shows other services, signed with its own key.

use allod_atproto::{
    Did, Nsid,
    service_auth::{Audience, LIFETIME_SECS_MAX, ServiceToken, encode},
};
use allod_base::clock::MICROS_PER_SEC;
use allod_store::{ReadError, tables::signing_keys};
use data_encoding::HEXLOWER;

use super::ServiceAuth;
use crate::domain::{
    keys::{Purpose, UnwrapError},
    sessions::{Scope, Session},
};

/// How long a token lasts when nobody says, in seconds; also the longest life of one for any method.
const DEFAULT_LIFETIME_SECS: u64 = 60;

/// Methods that manage an account or its identity: nobody else may call them for it, so there is no token for them.
const PROTECTED: &[&str] = &[
    "com.atproto.admin.sendEmail",
    "com.atproto.identity.requestPlcOperationSignature",
    "com.atproto.identity.signPlcOperation",
    "com.atproto.identity.submitPlcOperation",
    "com.atproto.identity.updateHandle",
    "com.atproto.repo.importRepo",
    "com.atproto.server.activateAccount",
    "com.atproto.server.confirmEmail",
    "com.atproto.server.createAppPassword",
    "com.atproto.server.deactivateAccount",
    "com.atproto.server.deleteAccount",
    "com.atproto.server.getAccountInviteCodes",
    "com.atproto.server.getSession",
    "com.atproto.server.listAppPasswords",
    "com.atproto.server.requestAccountDelete",
    "com.atproto.server.requestEmailConfirmation",
    "com.atproto.server.requestEmailUpdate",
    "com.atproto.server.revokeAppPassword",
    "com.atproto.server.updateEmail",
];

/// The method with which an account moves out.
const MOVING_OUT: &str = "com.atproto.server.createAccount";

/// Tells whether a method manages an account or its identity.
fn is_protected(method: &str) -> bool {
    PROTECTED.iter().any(|protected| protected.eq_ignore_ascii_case(method))
}

/// Tells whether a method needs more than a plain app password: private conversations, and moving out.
fn is_privileged(method: &str) -> bool {
    let is_chat = method.get(..10).is_some_and(|start| start.eq_ignore_ascii_case("chat.bsky."));
    is_chat || method.eq_ignore_ascii_case(MOVING_OUT)
}

/// A token that somebody wants.
pub struct TokenRequest<'a> {
    /// Whom it is for, as typed.
    pub audience: &'a str,
    /// When it ends, in seconds since the Unix epoch.
    pub expires_at_secs: Option<i64>,
    /// The only method it is for.
    pub method: Option<Nsid>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
pub enum MintError {
    /// The audience is neither a DID of a method that atproto has nor such a DID with the name of a service.
    #[error("aud must be a valid atproto DID or did#serviceId reference")]
    Audience,
    /// It would have ended already.
    #[error("expiration is in past")]
    ExpirationPast,
    /// It would last longer than [`LIFETIME_SECS_MAX`].
    #[error("cannot request a token with an expiration more than an hour in the future")]
    ExpirationFar,
    /// It would last longer than [`DEFAULT_LIFETIME_SECS`] and be good for any method.
    #[error("cannot request a method-less token with an expiration more than a minute in the future")]
    ExpirationWithoutMethod,
    /// The account was taken down: it may move out, and nothing else.
    #[error("Bad token scope")]
    TakenDown,
    /// A plain app password does not open the method.
    #[error("insufficient access to request a service auth token for the following method: {0}")]
    Privileged(Nsid),
    /// Nobody else may call the method for an account.
    #[error("cannot request a service auth token for the following protected method: {0}")]
    Protected(Nsid),
    /// The account has no key; a fault of ours.
    #[error("no signing key is stored for {0}")]
    NoKey(Did),
    /// The stored key can't be read; a fault of ours.
    #[error(transparent)]
    Key(#[from] UnwrapError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

impl ServiceAuth {
    /// Makes a token for the account of a session.
    pub async fn mint(&self, session: &Session, request: TokenRequest<'_>) -> Result<String, MintError> {
        let aud = Audience::parse(request.audience).ok().filter(Audience::is_atproto).ok_or(MintError::Audience)?;
        let now_secs = self.core.clock.now_micros() / MICROS_PER_SEC;
        let exp = expiration(request.expires_at_secs, request.method.is_some(), now_secs)?;
        check_method(session.scope, request.method.as_ref())?;
        let did = &session.account.did;
        let key = signing_keys::by_did(&*self.core.db, did).await?.ok_or_else(|| MintError::NoKey(did.clone()))?;
        let key = self.keyring.unwrap(&key.wrapped, Purpose::Signing(did))?;
        let claims = ServiceToken {
            iss: did.clone(),
            aud,
            exp,
            iat: Some(now_secs),
            lxm: request.method,
            jti: Some(HEXLOWER.encode(&self.core.random_bytes::<16>())),
            kid: None,
        };
        Ok(encode(&claims, &key))
    }
}

fn expiration(asked: Option<i64>, has_method: bool, now_secs: u64) -> Result<u64, MintError> {
    let Some(asked) = asked else { return Ok(now_secs + DEFAULT_LIFETIME_SECS) };
    let asked = u64::try_from(asked).map_err(|_| MintError::ExpirationPast)?;
    match asked.checked_sub(now_secs) {
        None => Err(MintError::ExpirationPast),
        Some(lifetime) if lifetime > LIFETIME_SECS_MAX => Err(MintError::ExpirationFar),
        Some(lifetime) if lifetime > DEFAULT_LIFETIME_SECS && !has_method => Err(MintError::ExpirationWithoutMethod),
        Some(_) => Ok(asked),
    }
}

fn check_method(scope: Scope, method: Option<&Nsid>) -> Result<(), MintError> {
    match scope {
        Scope::TakenDown | Scope::Queued => {
            let moves_out = method.is_some_and(|method| method.as_str() == MOVING_OUT);
            return if moves_out && scope == Scope::TakenDown { Ok(()) } else { Err(MintError::TakenDown) };
        }
        Scope::App => {
            if let Some(method) = method.filter(|method| is_privileged(method.as_str())) {
                return Err(MintError::Privileged(method.clone()));
            }
        }
        Scope::Full | Scope::AppPrivileged => {}
    }
    match method.filter(|method| is_protected(method.as_str())) {
        Some(method) => Err(MintError::Protected(method.clone())),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_ends_within_an_hour_and_one_for_any_method_within_a_minute() {
        assert!(matches!(expiration(None, false, 100), Ok(160)));
        assert!(matches!(expiration(Some(160), false, 100), Ok(160)));
        assert!(matches!(expiration(Some(3_700), true, 100), Ok(3_700)));
        assert!(matches!(expiration(Some(161), false, 100), Err(MintError::ExpirationWithoutMethod)));
        assert!(matches!(expiration(Some(3_701), true, 100), Err(MintError::ExpirationFar)));
        assert!(matches!(expiration(Some(99), true, 100), Err(MintError::ExpirationPast)));
        assert!(matches!(expiration(Some(-1), true, 100), Err(MintError::ExpirationPast)));
        assert!(matches!(expiration(Some(i64::MIN), true, 100), Err(MintError::ExpirationPast)));
    }

    #[test]
    fn names_of_methods_are_compared_in_any_case() {
        assert!(is_protected("com.atproto.identity.UPDATEHANDLE"));
        assert!(!is_protected("com.atproto.repo.createRecord"));
        assert!(is_privileged("chat.bsky.convo.sendMessage") && is_privileged("CHAT.bsky.convo.x"));
        assert!(!is_privileged("chat.bsk") && !is_privileged("app.bsky.feed.getTimeline"));
    }
}
