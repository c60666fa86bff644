//! The operator, by the administration password.

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{AuthError, AuthRequest, Authenticate, Credential};
use crate::{
    app::App,
    domain::secret::Secret,
    xrpc::error::{CommonError, XrpcError},
};

const USER: &str = "admin";

/// The operator: HTTP Basic, user `admin`.
#[derive(Debug, Clone, Copy)]
pub struct Admin(());

impl Authenticate<App> for Admin {
    const CHALLENGE: &'static str = "Basic realm=\"admin\"";

    async fn authenticate(request: AuthRequest<'_, App>) -> Result<Self, AuthError> {
        let expected = request.state.config.secrets.admin_password.as_ref();
        Self::check(&request.credential()?, expected)
    }
}

impl Admin {
    /// Checks a credential against the administration password; without one nobody is the operator.
    pub fn check(credential: &Credential<'_>, expected: Option<&Secret<String>>) -> Result<Self, AuthError> {
        let known = match (credential, expected) {
            (Credential::Basic { user, password }, Some(expected)) if user == USER => same(password, expected),
            _ => false,
        };
        if known {
            Ok(Self(()))
        } else {
            Err(XrpcError::common(CommonError::AuthenticationRequired, "Authentication Required"))
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

    fn basic(user: &str, password: &str) -> Credential<'static> {
        Credential::Basic { user: user.to_owned(), password: Secret::new(password.to_owned()) }
    }

    #[test]
    fn only_the_right_name_and_password_open() {
        let expected = Secret::new("hunter2".to_owned());
        assert!(Admin::check(&basic("admin", "hunter2"), Some(&expected)).is_ok());
        let wrong = [
            basic("admin", "hunter3"),
            basic("admin", ""),
            basic("Admin", "hunter2"),
            Credential::Bearer("hunter2"),
            Credential::UnreadableBasic,
            Credential::None,
        ];
        for credential in &wrong {
            assert!(matches!(
                Admin::check(credential, Some(&expected)),
                Err(XrpcError::Common(CommonError::AuthenticationRequired, _))
            ));
        }
    }

    #[test]
    fn without_a_password_nobody_is_the_operator() {
        assert!(Admin::check(&basic("admin", ""), None).is_err());
    }
}
