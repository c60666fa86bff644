//! Session tokens: HS256 JWTs that carry who signed in, and nothing secret.

use allod_atproto::{
    Did,
    json::{self, Limits},
};
use allod_store::tables::sessions::Scope;
use data_encoding::BASE64URL_NOPAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

/// The longest token that is looked at, in bytes.
pub const TOKEN_BYTES_MAX: usize = 4_096;

/// What a token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// Sent with every request.
    Access,
    /// Exchanged for the next pair.
    Refresh,
}

impl TokenKind {
    fn typ(self) -> &'static str {
        match self {
            Self::Access => "at+jwt",
            Self::Refresh => "refresh+jwt",
        }
    }
}

/// The scope of every refresh token; what its access tokens allow is stored.
const REFRESH_SCOPE: &str = "com.atproto.refresh";

/// The scope of the access tokens of a sign-in.
fn access_scope(scope: Scope) -> &'static str {
    match scope {
        Scope::Full => "com.atproto.access",
        Scope::App => "com.atproto.appPass",
        Scope::AppPrivileged => "com.atproto.appPassPrivileged",
        Scope::TakenDown => "com.atproto.takendown",
        Scope::Queued => "com.atproto.signupQueued",
    }
}

/// What a token says. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claims {
    /// What the token allows.
    pub scope: String,
    /// The service's DID.
    pub aud: String,
    /// Who signed in.
    pub sub: Did,
    /// When it was issued.
    pub iat: u64,
    /// When it ends.
    pub exp: u64,
    /// The sign-in it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sid: Option<String>,
    /// A refresh token's identifier.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jti: Option<String>,
}

impl Claims {
    /// What an access token allows; none when it is no access token's scope.
    pub fn access_scope(&self) -> Option<Scope> {
        Scope::ALL.into_iter().find(|scope| access_scope(*scope) == self.scope)
    }
}

/// Why a token is not taken.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is none of ours, or not of the kind that is needed here.
    #[error("Token could not be verified")]
    Invalid,
    /// It was ours but allows something else.
    #[error("Bad token scope")]
    Scope,
    /// It has ended.
    #[error("Token has expired")]
    Expired,
}

/// Signs and reads session tokens.
pub struct SessionKeys {
    mac: Hmac<Sha256>,
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    typ: String,
}

/// Claims that a token of ours never carries: tokens for other services and for OAuth clients do.
#[derive(Deserialize)]
struct ForeignClaims {
    lxm: Option<serde::de::IgnoredAny>,
    cnf: Option<serde::de::IgnoredAny>,
}

impl SessionKeys {
    /// Takes the secret that signs tokens.
    pub fn new(secret: &[u8]) -> Self {
        #[expect(clippy::expect_used, reason = "HMAC takes keys of any length")]
        let mac = Hmac::new_from_slice(secret).expect("HMAC takes keys of any length");
        Self { mac }
    }

    /// Signs a token. Visible to the module alone that decides who gets one.
    pub(super) fn sign(&self, kind: TokenKind, claims: &Claims) -> String {
        let header = format!(r#"{{"typ":"{}","alg":"HS256"}}"#, kind.typ());
        #[expect(clippy::expect_used, reason = "claims are strings and numbers under string keys")]
        let payload = serde_json::to_vec(claims).expect("claims serialise");
        let mut token = BASE64URL_NOPAD.encode(header.as_bytes());
        token.push('.');
        BASE64URL_NOPAD.encode_append(&payload, &mut token);
        let signature = self.mac.clone().chain_update(token.as_bytes()).finalize().into_bytes();
        token.push('.');
        BASE64URL_NOPAD.encode_append(&signature, &mut token);
        token
    }

    /// Reads a token of this kind issued for `audience`, and checks everything but its end.
    pub fn read_expired_too(&self, kind: TokenKind, token: &str, audience: &str) -> Result<Claims, TokenError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(TokenError::Invalid);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(TokenError::Invalid)?;
        let (header, payload) = signed.split_once('.').ok_or(TokenError::Invalid)?;
        let signature = decode(signature)?;
        self.mac.clone().chain_update(signed.as_bytes()).verify_slice(&signature).map_err(|_| TokenError::Invalid)?;
        let header = Header::deserialize(parse(&decode(header)?)?).map_err(|_| TokenError::Invalid)?;
        let payload = parse(&decode(payload)?)?;
        let foreign = ForeignClaims::deserialize(&payload).map_err(|_| TokenError::Invalid)?;
        let claims = Claims::deserialize(payload).map_err(|_| TokenError::Invalid)?;
        if header.alg != "HS256" || foreign.lxm.is_some() || foreign.cnf.is_some() || claims.aud != audience {
            return Err(TokenError::Invalid);
        }
        if header.typ != kind.typ() {
            return Err(TokenError::Invalid);
        }
        let scope_fits = match kind {
            TokenKind::Access => claims.access_scope().is_some(),
            TokenKind::Refresh => claims.scope == REFRESH_SCOPE,
        };
        if scope_fits { Ok(claims) } else { Err(TokenError::Scope) }
    }

    /// Reads a token of this kind issued for `audience` that has not ended at `now_secs`.
    pub fn read(&self, kind: TokenKind, token: &str, audience: &str, now_secs: u64) -> Result<Claims, TokenError> {
        let claims = self.read_expired_too(kind, token, audience)?;
        if claims.exp <= now_secs { Err(TokenError::Expired) } else { Ok(claims) }
    }

    /// Derives the identifier of the refresh token that follows: the same, whoever asks and however often.
    pub fn next_identifier(&self, identifier: &str) -> String {
        let next = self.mac.clone().chain_update(b"allod next refresh token\0").chain_update(identifier.as_bytes());
        BASE64URL_NOPAD.encode(&next.finalize().into_bytes())
    }

    /// The scope that an access token of such a sign-in carries.
    pub fn access_scope(scope: Scope) -> String {
        access_scope(scope).to_owned()
    }

    /// The scope that a refresh token carries.
    pub fn refresh_scope() -> String {
        REFRESH_SCOPE.to_owned()
    }
}

fn decode(text: &str) -> Result<Vec<u8>, TokenError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| TokenError::Invalid)
}

fn parse(bytes: &[u8]) -> Result<serde_json::Value, TokenError> {
    json::parse(bytes, &Limits::token(TOKEN_BYTES_MAX)).map_err(|_| TokenError::Invalid)
}

#[cfg(test)]
mod tests {
    use super::*;

    const AUDIENCE: &str = "did:web:pds.test";

    fn claims(kind: TokenKind) -> Claims {
        Claims {
            scope: match kind {
                TokenKind::Access => SessionKeys::access_scope(Scope::Full),
                TokenKind::Refresh => SessionKeys::refresh_scope(),
            },
            aud: AUDIENCE.to_owned(),
            sub: Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap(),
            iat: 1_000,
            exp: 2_000,
            sid: None,
            jti: None,
        }
    }

    fn forged(keys: &SessionKeys, header: &str, payload: &str) -> String {
        let signed =
            format!("{}.{}", BASE64URL_NOPAD.encode(header.as_bytes()), BASE64URL_NOPAD.encode(payload.as_bytes()));
        let signature = keys.mac.clone().chain_update(signed.as_bytes()).finalize().into_bytes();
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
    }

    #[test]
    fn reads_what_it_signed_until_it_ends() {
        let keys = SessionKeys::new(b"secret");
        let token = keys.sign(TokenKind::Access, &claims(TokenKind::Access));
        assert_eq!(keys.read(TokenKind::Access, &token, AUDIENCE, 1_999).unwrap(), claims(TokenKind::Access));
        assert_eq!(keys.read(TokenKind::Access, &token, AUDIENCE, 2_000), Err(TokenError::Expired));
        assert!(keys.read_expired_too(TokenKind::Access, &token, AUDIENCE).is_ok());
    }

    #[test]
    fn refuses_other_kinds_audiences_and_keys() {
        let keys = SessionKeys::new(b"secret");
        let access = keys.sign(TokenKind::Access, &claims(TokenKind::Access));
        let refresh = keys.sign(TokenKind::Refresh, &claims(TokenKind::Refresh));
        assert_eq!(keys.read(TokenKind::Refresh, &access, AUDIENCE, 1_500), Err(TokenError::Invalid));
        assert_eq!(keys.read(TokenKind::Access, &refresh, AUDIENCE, 1_500), Err(TokenError::Invalid));
        assert_eq!(keys.read(TokenKind::Access, &access, "did:web:other.test", 1_500), Err(TokenError::Invalid));
        let other = SessionKeys::new(b"other secret");
        assert_eq!(other.read(TokenKind::Access, &access, AUDIENCE, 1_500), Err(TokenError::Invalid));
        let wrong_scope = keys.sign(TokenKind::Access, &claims(TokenKind::Refresh));
        assert_eq!(keys.read(TokenKind::Access, &wrong_scope, AUDIENCE, 1_500), Err(TokenError::Scope));
    }

    #[test]
    fn refuses_confused_and_damaged_tokens() {
        let keys = SessionKeys::new(b"secret");
        let payload = serde_json::to_string(&claims(TokenKind::Access)).unwrap();
        let with = |claim: &str| format!("{},{claim}}}", payload.trim_end_matches('}'));
        let good = r#"{"typ":"at+jwt","alg":"HS256"}"#;
        assert!(keys.read(TokenKind::Access, &forged(&keys, good, &payload), AUDIENCE, 1_500).is_ok());
        for (header, payload) in [
            (r#"{"typ":"at+jwt","alg":"none"}"#, payload.clone()),
            (r#"{"typ":"JWT","alg":"HS256"}"#, payload.clone()),
            (r#"{"alg":"HS256"}"#, payload.clone()),
            (good, with(r#""lxm":"com.atproto.server.createAccount""#)),
            (good, with(r#""cnf":{"jkt":"x"}"#)),
            (good, "{}".to_owned()),
            (good, "[".repeat(1_000)),
            ("", payload.clone()),
        ] {
            let token = forged(&keys, header, &payload);
            assert_eq!(
                keys.read(TokenKind::Access, &token, AUDIENCE, 1_500),
                Err(TokenError::Invalid),
                "{header} {payload}"
            );
        }
        for token in ["", ".", "..", "a.b", "a.b.c", "é.é.é", &"a".repeat(TOKEN_BYTES_MAX + 1)] {
            assert_eq!(keys.read(TokenKind::Access, token, AUDIENCE, 1_500), Err(TokenError::Invalid), "{token}");
        }
    }

    #[test]
    fn the_next_identifier_is_the_same_for_everyone() {
        let keys = SessionKeys::new(b"secret");
        assert_eq!(keys.next_identifier("a"), keys.next_identifier("a"));
        assert_ne!(keys.next_identifier("a"), keys.next_identifier("b"));
        assert_ne!(keys.next_identifier("a"), SessionKeys::new(b"other").next_identifier("a"));
    }
}
