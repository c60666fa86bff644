//! The Authorization header.

use allod_base::secret::Secret;
use data_encoding::BASE64;
use http::{HeaderMap, header::AUTHORIZATION};

use super::AuthError;
use crate::xrpc::error::{CommonError, XrpcError};

/// What a request shows to say who sends it. Has no Debug, for it holds secrets.
pub enum Credential<'a> {
    /// Nothing.
    None,
    /// A token that opens things for whoever has it.
    Bearer(&'a str),
    /// A token bound to a key.
    Dpop(&'a str),
    /// A name and a password.
    Basic {
        /// The name.
        user: String,
        /// The password.
        password: Secret<String>,
    },
    /// A name and a password that can't be read.
    UnreadableBasic,
}

impl<'a> Credential<'a> {
    /// Reads the header: one at most, a scheme and a credential with one space between.
    pub fn read(headers: &'a HeaderMap) -> Result<Self, AuthError> {
        let mut values = headers.get_all(AUTHORIZATION).iter();
        let Some(value) = values.next().filter(|value| !value.is_empty()) else { return Ok(Self::None) };
        if values.next().is_some() {
            return Err(XrpcError::invalid_request("More than one Authorization header"));
        }
        let malformed = || XrpcError::common(CommonError::InvalidToken, "Malformed authorization header");
        let (scheme, credential) = value.to_str().ok().and_then(|v| v.split_once(' ')).ok_or_else(malformed)?;
        if credential.contains(' ') {
            return Err(malformed());
        }
        if scheme.eq_ignore_ascii_case("bearer") {
            Ok(Self::Bearer(credential))
        } else if scheme.eq_ignore_ascii_case("dpop") {
            Ok(Self::Dpop(credential))
        } else if scheme.eq_ignore_ascii_case("basic") {
            Ok(read_basic(credential))
        } else {
            let message = format!("Unsupported authorization type: {scheme}");
            Err(XrpcError::common(CommonError::InvalidToken, message))
        }
    }
}

fn read_basic(credential: &str) -> Credential<'static> {
    let decoded = BASE64.decode(credential.as_bytes()).ok();
    let Some(text) = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).map(Secret::new) else {
        return Credential::UnreadableBasic;
    };
    match text.expose().split_once(':') {
        Some((user, password)) => {
            Credential::Basic { user: user.to_owned(), password: Secret::new(password.to_owned()) }
        }
        None => Credential::UnreadableBasic,
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn refusal(values: &[&str]) -> (CommonError, String) {
        match Credential::read(&headers(values)) {
            Err(XrpcError::Common(error, message)) => (error, message.into_owned()),
            Err(XrpcError::Declared(..) | XrpcError::Internal(_)) | Ok(_) => panic!("not refused: {values:?}"),
        }
    }

    #[test]
    fn schemes_are_read_in_any_case() {
        assert!(matches!(Credential::read(&headers(&[])), Ok(Credential::None)));
        assert!(matches!(Credential::read(&headers(&["Bearer abc"])), Ok(Credential::Bearer("abc"))));
        assert!(matches!(Credential::read(&headers(&["bEARER abc"])), Ok(Credential::Bearer("abc"))));
        assert!(matches!(Credential::read(&headers(&["DPoP abc"])), Ok(Credential::Dpop("abc"))));
    }

    #[test]
    fn a_basic_password_may_hold_colons() {
        let headers = headers(&["Basic YWRtaW46YTpi"]);
        let Ok(Credential::Basic { user, password }) = Credential::read(&headers) else { panic!("not basic") };
        assert_eq!((user.as_str(), password.expose().as_str()), ("admin", "a:b"));
    }

    #[test]
    fn basic_without_a_colon_or_base64_is_unreadable() {
        for value in ["Basic YWRtaW4=", "Basic !!!", "Basic /////w=="] {
            assert!(matches!(Credential::read(&headers(&[value])), Ok(Credential::UnreadableBasic)), "{value}");
        }
    }

    #[test]
    fn what_is_not_two_words_is_malformed() {
        for value in ["Bearer", "abc", "Bearer a b", "Bearer  a", "Bearer \u{e9}"] {
            let expected = (CommonError::InvalidToken, "Malformed authorization header".to_owned());
            assert_eq!(refusal(&[value]), expected, "{value:?}");
        }
    }

    #[test]
    fn an_unknown_scheme_and_a_second_header_are_named() {
        let expected = (CommonError::InvalidToken, "Unsupported authorization type: Digest".to_owned());
        assert_eq!(refusal(&["Digest abc"]), expected);
        let expected = (CommonError::InvalidRequest, "More than one Authorization header".to_owned());
        assert_eq!(refusal(&["Bearer abc", "Bearer abc"]), expected);
    }
}
