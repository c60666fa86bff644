//! Tokens with which one service shows another that it acts for an account.
//!
//! A token is a JWT signed with the account's own key. What is read from one is called
//! [`Unverified`] until its signature was checked against the key in the issuer's DID document;
//! only then is there a [`ServiceToken`], whose [`ServiceToken::check`] looks at time, audience and
//! method. Remembering which tokens were used is up to the caller.
//!
//! Spec: <https://atproto.com/specs/xrpc#inter-service-authentication-jwt>

use data_encoding::BASE64URL_NOPAD;
use serde::{Deserialize, Serialize};

use crate::crypto::{Curve, DidKey, SigningKey};
use crate::json::{self, Limits};
use crate::syntax::{Did, Nsid, text_type};

/// The largest token that is read, in bytes.
pub const TOKEN_BYTES_MAX: usize = 8 * 1024;
/// The longest life of a token that names a method.
pub const LIFETIME_SECS_MAX: u64 = 60 * 60;
/// The longest life of a token that is good for any method.
pub const LIFETIME_WITHOUT_METHOD_SECS_MAX: u64 = 5 * 60;
/// How far the issuer's clock may be ahead.
pub const CLOCK_SKEW_SECS_MAX: u64 = 60;

/// The name of an account's signing key.
const SIGNING_KEY_ID: &str = "#atproto";
/// The name of the key with which a labeler signs.
const LABEL_KEY_ID: &str = "#atproto_label";
/// The service that speaks with [`LABEL_KEY_ID`].
pub const LABELER_SERVICE: &str = "atproto_labeler";
const TOKEN_TYPE: &str = "JWT";

text_type!(
    /// Whom a token is for: a service's DID, or a DID and `#` and the name of one of its services.
    ///
    /// The two are different audiences; neither includes the other.
    Audience, "audience", |text| {
        let (did, service_id) = text.split_once('#').map_or((text, None), |(did, id)| (did, Some(id)));
        Did::parse(did).map_err(|error| error.reason)?;
        let is_name = |id: &str| !id.is_empty() && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"._~-".contains(&b));
        if service_id.is_none_or(is_name) { Ok(()) } else { Err("the part after \"#\" is not a service name") }
    }
);

impl Audience {
    /// The service's DID.
    pub fn did(&self) -> &str {
        self.as_str().split_once('#').map_or(self.as_str(), |(did, _)| did)
    }

    /// Tells whether the service's DID is of a method and form that atproto has.
    pub fn is_atproto(&self) -> bool {
        Did::parse(self.did()).is_ok_and(|did| did.is_atproto())
    }

    /// The name of the service, such as `bsky_appview`, if one is named.
    pub fn service_id(&self) -> Option<&str> {
        self.as_str().split_once('#').map(|(_, id)| id)
    }
}

impl From<Did> for Audience {
    fn from(did: Did) -> Self {
        Self(did.as_str().into())
    }
}

/// What a service token says. Times are in seconds since 1970.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceToken {
    /// The account that the token acts for.
    pub iss: Did,
    /// The service that the token is for.
    pub aud: Audience,
    /// When the token ends.
    pub exp: u64,
    /// When the token was made.
    pub iat: Option<u64>,
    /// The only method that the token is good for.
    pub lxm: Option<Nsid>,
    /// A text that no other token of the issuer has.
    pub jti: Option<String>,
    /// The key, where it is named: `#atproto`.
    pub kid: Option<String>,
}

/// A token that was read but not believed.
#[derive(Debug, Clone)]
pub struct Unverified {
    claims: ServiceToken,
    issuer_service: Option<String>,
    curve: Curve,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

/// Why a token is refused. [`ServiceAuthError::name`] is the name that clients see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ServiceAuthError {
    /// Not a JWT of the shape that service tokens have.
    #[error("poorly formatted jwt")]
    Malformed,
    /// A token of another kind, such as an access token.
    #[error("jwt is not of the type of a service token")]
    WrongType,
    /// Past its end.
    #[error("jwt expired")]
    Expired,
    /// Made later than now.
    #[error("jwt is not valid yet")]
    NotYetValid,
    /// Valid for longer than a token may be.
    #[error("jwt has too long a lifetime")]
    Lifetime,
    /// For another service.
    #[error("jwt audience does not match service did")]
    Audience,
    /// For another method, or for none where one is required.
    #[error("jwt lexicon method (\"lxm\") does not match the method called")]
    LexiconMethod,
    /// The issuer is not a DID.
    #[error("jwt issuer is not a did")]
    Issuer,
    /// Not signed by the key given.
    #[error("jwt signature does not match jwt issuer")]
    Signature,
}

impl ServiceAuthError {
    /// The error's name in an answer.
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed | Self::NotYetValid | Self::Lifetime => "BadJwt",
            Self::WrongType => "BadJwtType",
            Self::Expired => "JwtExpired",
            Self::Audience => "BadJwtAudience",
            Self::LexiconMethod => "BadJwtLexiconMethod",
            Self::Issuer => "BadJwtIss",
            Self::Signature => "BadJwtSignature",
        }
    }
}

#[derive(Serialize, Deserialize)]
struct Header {
    #[serde(skip_serializing_if = "Option::is_none")]
    typ: Option<String>,
    alg: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    kid: Option<String>,
    /// Extensions that a reader must understand; there are none that this one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    crit: Option<serde_json::Value>,
}

#[derive(Serialize, Deserialize)]
struct Payload {
    #[serde(skip_serializing_if = "Option::is_none")]
    iat: Option<u64>,
    iss: String,
    aud: String,
    exp: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    lxm: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    jti: Option<String>,
    /// Before this time the token is not valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    nbf: Option<u64>,
}

/// Writes and signs a token. The caller chooses a `jti` that cannot be guessed or repeated.
pub fn encode(claims: &ServiceToken, key: &SigningKey) -> String {
    let header = Header {
        typ: Some(TOKEN_TYPE.to_owned()),
        alg: key.curve().jwt_alg().to_owned(),
        kid: claims.kid.clone(),
        crit: None,
    };
    let payload = Payload {
        iat: claims.iat,
        iss: claims.iss.as_str().to_owned(),
        aud: claims.aud.as_str().to_owned(),
        exp: claims.exp,
        lxm: claims.lxm.as_ref().map(|lxm| lxm.as_str().to_owned()),
        jti: claims.jti.clone(),
        nbf: None,
    };
    let mut token = format!("{}.{}", encode_part(&header), encode_part(&payload));
    let signature = key.sign(token.as_bytes());
    token.push('.');
    BASE64URL_NOPAD.encode_append(&signature, &mut token);
    token
}

impl ServiceToken {
    /// Reads a token. Nothing in it may be believed before [`Unverified::verify`].
    pub fn decode(token: &str) -> Result<Unverified, ServiceAuthError> {
        if token.len() > TOKEN_BYTES_MAX {
            return Err(ServiceAuthError::Malformed);
        }
        let (signed, signature) = token.rsplit_once('.').ok_or(ServiceAuthError::Malformed)?;
        let (header, payload) = signed.split_once('.').ok_or(ServiceAuthError::Malformed)?;
        let header: Header = decode_part(header)?;
        let curve = check_header(&header)?;
        let payload: Payload = decode_part(payload)?;
        let issuer_service = payload.iss.split_once('#').map(|(_, service)| service.to_owned());
        let is_label_key = header.kid.as_deref() == Some(LABEL_KEY_ID);
        if is_label_key && issuer_service.as_deref() != Some(LABELER_SERVICE) {
            return Err(ServiceAuthError::Malformed);
        }
        Ok(Unverified {
            issuer_service,
            claims: parse_claims(payload, header.kid)?,
            curve,
            signed: signed.as_bytes().to_vec(),
            signature: decode_base64(signature)?,
        })
    }

    /// Checks that the token holds now, for one of the audiences, and for the method called.
    ///
    /// With `lxm` given the token must name exactly that method. Without, a token for any method
    /// or for one that the caller looks at itself is let through.
    pub fn check(&self, now_secs: u64, audiences: &[Audience], lxm: Option<&Nsid>) -> Result<(), ServiceAuthError> {
        if now_secs >= self.exp {
            return Err(ServiceAuthError::Expired);
        }
        if self.iat.is_some_and(|iat| iat > now_secs.saturating_add(CLOCK_SKEW_SECS_MAX)) {
            return Err(ServiceAuthError::NotYetValid);
        }
        let lifetime_secs = self.exp.saturating_sub(self.iat.unwrap_or(now_secs));
        let lifetime_secs_max = if self.lxm.is_some() { LIFETIME_SECS_MAX } else { LIFETIME_WITHOUT_METHOD_SECS_MAX };
        if lifetime_secs > lifetime_secs_max {
            return Err(ServiceAuthError::Lifetime);
        }
        if !audiences.contains(&self.aud) {
            return Err(ServiceAuthError::Audience);
        }
        if lxm.is_some() && self.lxm.as_ref() != lxm {
            return Err(ServiceAuthError::LexiconMethod);
        }
        Ok(())
    }
}

impl Unverified {
    /// The DID whose document has the key to verify with.
    pub fn issuer(&self) -> &Did {
        &self.claims.iss
    }

    /// The service that speaks for the account, where the issuer is `DID#service`.
    pub fn issuer_service(&self) -> Option<&str> {
        self.issuer_service.as_deref()
    }

    /// What the token claims, for checks that are cheaper than resolving the issuer.
    pub fn unverified_claims(&self) -> &ServiceToken {
        &self.claims
    }

    /// Checks the signature against the issuer's key. A key of another curve than the token names
    /// never matches. Both forms of a signature are taken, as other implementations make both.
    pub fn verify(&self, key: &DidKey) -> Result<ServiceToken, ServiceAuthError> {
        if key.curve() != self.curve {
            return Err(ServiceAuthError::Signature);
        }
        key.verify_allowing_high_s(&self.signed, &self.signature).map_err(|_| ServiceAuthError::Signature)?;
        Ok(self.claims.clone())
    }
}

fn check_header(header: &Header) -> Result<Curve, ServiceAuthError> {
    if header.typ.as_deref().is_some_and(|typ| typ != TOKEN_TYPE) {
        return Err(ServiceAuthError::WrongType);
    }
    if header.crit.is_some() || header.kid.as_deref().is_some_and(|kid| ![SIGNING_KEY_ID, LABEL_KEY_ID].contains(&kid))
    {
        return Err(ServiceAuthError::Malformed);
    }
    [Curve::K256, Curve::P256]
        .into_iter()
        .find(|curve| curve.jwt_alg() == header.alg)
        .ok_or(ServiceAuthError::Malformed)
}

fn parse_claims(payload: Payload, kid: Option<String>) -> Result<ServiceToken, ServiceAuthError> {
    // Older issuers name the service that speaks for the account after a "#".
    let issuer = payload.iss.split_once('#').map_or(payload.iss.as_str(), |(did, _)| did);
    let lxm = payload.lxm.map(Nsid::try_from).transpose().map_err(|_| ServiceAuthError::LexiconMethod)?;
    Ok(ServiceToken {
        iss: Did::parse(issuer).map_err(|_| ServiceAuthError::Issuer)?,
        aud: Audience::parse(&payload.aud).map_err(|_| ServiceAuthError::Audience)?,
        exp: payload.exp,
        // A token that begins later than it was made counts from its beginning.
        iat: payload.iat.max(payload.nbf),
        lxm,
        jti: payload.jti.filter(|jti| !jti.is_empty()),
        kid,
    })
}

fn encode_part(part: &impl Serialize) -> String {
    BASE64URL_NOPAD.encode(&serde_json::to_vec(part).unwrap_or_default())
}

fn decode_part<T: for<'de> Deserialize<'de>>(part: &str) -> Result<T, ServiceAuthError> {
    json::read(&decode_base64(part)?, &Limits::token(TOKEN_BYTES_MAX)).map_err(|_| ServiceAuthError::Malformed)
}

fn decode_base64(text: &str) -> Result<Vec<u8>, ServiceAuthError> {
    BASE64URL_NOPAD.decode(text.as_bytes()).map_err(|_| ServiceAuthError::Malformed)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value as Json, json};

    use super::*;

    const NOW_SECS: u64 = 1_767_225_600;

    fn key() -> SigningKey {
        SigningKey::from_bytes(Curve::K256, &[5; 32]).unwrap()
    }

    fn claims() -> ServiceToken {
        ServiceToken {
            iss: Did::parse("did:plc:63kucxdpv4zvsvgxpeceo7f6").unwrap(),
            aud: Audience::parse("did:web:pds.example.com").unwrap(),
            exp: NOW_SECS + 60,
            iat: Some(NOW_SECS),
            lxm: Some(method()),
            jti: Some("once".to_owned()),
            kid: None,
        }
    }

    fn method() -> Nsid {
        Nsid::parse("com.atproto.server.createAccount").unwrap()
    }

    fn check(claims: &ServiceToken, now_secs: u64) -> Result<(), ServiceAuthError> {
        claims.check(now_secs, &[claims_audience()], Some(&method()))
    }

    fn claims_audience() -> Audience {
        claims().aud
    }

    fn sign(header: &Json, payload: &Json, key: &SigningKey) -> String {
        let signed = format!("{}.{}", encode_part(header), encode_part(payload));
        format!("{signed}.{}", BASE64URL_NOPAD.encode(&key.sign(signed.as_bytes())))
    }

    fn payload() -> Json {
        json!({"iss": "did:plc:abc", "aud": "did:web:a.test", "exp": NOW_SECS})
    }

    #[test]
    fn what_is_written_is_read() {
        for kid in [None, Some("#atproto".to_owned())] {
            let claims = ServiceToken { kid, ..claims() };
            let token = ServiceToken::decode(&encode(&claims, &key())).unwrap();
            assert_eq!(token.verify(&key().did_key()), Ok(claims));
        }
    }

    #[test]
    fn only_the_issuers_key_verifies() {
        let token = ServiceToken::decode(&encode(&claims(), &key())).unwrap();
        for (curve, seed) in [(Curve::K256, 6), (Curve::P256, 5)] {
            let other = SigningKey::from_bytes(curve, &[seed; 32]).unwrap().did_key();
            assert_eq!(token.verify(&other), Err(ServiceAuthError::Signature));
        }
        let misnamed = sign(&json!({"alg": "ES256"}), &payload(), &key());
        assert_eq!(ServiceToken::decode(&misnamed).unwrap().verify(&key().did_key()), Err(ServiceAuthError::Signature));
        let text = encode(&claims(), &key());
        let (signed, signature) = text.rsplit_once('.').unwrap();
        let (header, _) = signed.split_once('.').unwrap();
        let forged = format!("{header}.{}.{signature}", encode_part(&payload()));
        assert_eq!(ServiceToken::decode(&forged).unwrap().verify(&key().did_key()), Err(ServiceAuthError::Signature));
    }

    #[test]
    fn other_kinds_of_token_are_refused() {
        for typ in ["at+jwt", "refresh+jwt", "dpop+jwt", "jwt", ""] {
            let token = sign(&json!({"typ": typ, "alg": "ES256K"}), &payload(), &key());
            assert_eq!(ServiceToken::decode(&token).unwrap_err(), ServiceAuthError::WrongType, "{typ}");
        }
        for header in [
            json!({"typ": "JWT", "alg": "none"}),
            json!({"typ": "JWT", "alg": "HS256"}),
            json!({"typ": "JWT"}),
            json!({"alg": "ES256K", "crit": ["exp"]}),
            json!({"alg": "ES256K", "kid": "#atproto_label"}),
            json!({"alg": "ES256K", "kid": "did:plc:abc#atproto"}),
        ] {
            let token = sign(&header, &payload(), &key());
            assert_eq!(ServiceToken::decode(&token).unwrap_err(), ServiceAuthError::Malformed, "{header}");
        }
        assert!(ServiceToken::decode(&sign(&json!({"alg": "ES256K"}), &payload(), &key())).is_ok());
    }

    #[test]
    fn a_token_in_another_shape_is_refused() {
        let good = encode(&claims(), &key());
        let padded = format!("{good}==");
        let long = format!("{good}{}", "A".repeat(TOKEN_BYTES_MAX));
        for token in ["", ".", "..", "a.b.c", good.rsplit_once('.').unwrap().0, &padded, &long, &format!("{good}.x")] {
            assert_eq!(ServiceToken::decode(token).unwrap_err(), ServiceAuthError::Malformed, "{token}");
        }
        let mut with = payload();
        with["iss"] = json!("alice.test");
        let token = sign(&json!({"alg": "ES256K"}), &with, &key());
        assert_eq!(ServiceToken::decode(&token).unwrap_err().name(), "BadJwtIss");
        with["iss"] = json!("did:plc:abc#atproto_labeler");
        let token = sign(&json!({"alg": "ES256K"}), &with, &key());
        let labeler = ServiceToken::decode(&token).unwrap();
        assert_eq!(labeler.issuer(), &Did::parse("did:plc:abc").unwrap());
        assert_eq!(labeler.issuer_service(), Some("atproto_labeler"));
        let labelled = sign(&json!({"alg": "ES256K", "kid": "#atproto_label"}), &with, &key());
        assert!(ServiceToken::decode(&labelled).is_ok());
        assert_eq!(ServiceToken::decode(&good).unwrap().issuer_service(), None);
    }

    #[test]
    fn the_length_of_a_token_is_bounded_exactly() {
        // Base64 without padding has no lengths of 4 n + 1 digits: the header makes up for what the payload can't.
        let token_of = |bytes: usize| {
            let filled = |header: usize, payload: usize| {
                let (mut claims, header) = (self::payload(), json!({"alg": "ES256K", "x": "x".repeat(header)}));
                claims["jti"] = json!("x".repeat(payload));
                sign(&header, &claims, &key())
            };
            let rest = bytes - filled(0, 0).len();
            let fits = |header| (rest * 3 / 4 - 6..=rest * 3 / 4).map(move |payload| filled(header, payload));
            (0..4).flat_map(fits).find(|token| token.len() == bytes).unwrap()
        };
        assert!(ServiceToken::decode(&token_of(TOKEN_BYTES_MAX)).is_ok());
        let longer = token_of(TOKEN_BYTES_MAX + 1);
        assert_eq!(ServiceToken::decode(&longer).unwrap_err(), ServiceAuthError::Malformed);
    }

    #[test]
    fn time_is_checked() {
        assert_eq!(check(&claims(), NOW_SECS), Ok(()));
        assert_eq!(check(&claims(), NOW_SECS + 59), Ok(()));
        assert_eq!(check(&claims(), NOW_SECS + 60), Err(ServiceAuthError::Expired));
        assert_eq!(check(&claims(), NOW_SECS - 60), Ok(()));
        assert_eq!(check(&claims(), NOW_SECS - 61), Err(ServiceAuthError::NotYetValid));
        let lasting = |secs, lxm: Option<Nsid>, iat| ServiceToken { exp: NOW_SECS + secs, lxm, iat, ..claims() };
        let any = |claims: &ServiceToken| claims.check(NOW_SECS, &[claims_audience()], None);
        for iat in [None, Some(NOW_SECS)] {
            assert_eq!(any(&lasting(3600, Some(method()), iat)), Ok(()));
            assert_eq!(any(&lasting(3601, Some(method()), iat)), Err(ServiceAuthError::Lifetime));
            assert_eq!(any(&lasting(300, None, iat)), Ok(()));
            assert_eq!(any(&lasting(301, None, iat)), Err(ServiceAuthError::Lifetime));
        }
    }

    #[test]
    fn audience_and_method_must_match_exactly() {
        let at = |aud: &str| ServiceToken { aud: Audience::parse(aud).unwrap(), ..claims() };
        assert_eq!(check(&at("did:web:pds.example.com#atproto_pds"), NOW_SECS), Err(ServiceAuthError::Audience));
        assert_eq!(check(&at("did:web:other.example.com"), NOW_SECS), Err(ServiceAuthError::Audience));
        for lxm in [None, Some(Nsid::parse("com.atproto.server.createaccount").unwrap())] {
            let claims = ServiceToken { lxm, ..claims() };
            assert_eq!(check(&claims, NOW_SECS), Err(ServiceAuthError::LexiconMethod));
        }
        let audience = Audience::parse("did:web:a.test#bsky_appview").unwrap();
        assert_eq!((audience.did(), audience.service_id()), ("did:web:a.test", Some("bsky_appview")));
        for text in ["did:web:a.test#", "did:web:a.test#a#b", "did:web:a.test#a b", "a.test", ""] {
            assert!(Audience::parse(text).is_err(), "{text}");
        }
    }
}
