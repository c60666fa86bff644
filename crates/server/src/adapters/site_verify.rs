//! Services that tell solved captchas from others as hCaptcha and Turnstile do.
//!
//! Spec: <https://docs.hcaptcha.com/#verify-the-user-response-server-side>,
//! <https://developers.cloudflare.com/turnstile/get-started/server-side-validation/>.

use std::net::IpAddr;

use allod_base::secret::Secret;
use allod_net::forms::Forms;
use futures_util::future::BoxFuture;
use serde::Deserialize;
use url::Url;

use crate::domain::captcha::{CaptchaError, Checker};

/// Where hCaptcha tells whether a captcha was solved.
pub const HCAPTCHA_URL: &str = "https://api.hcaptcha.com/siteverify";
/// Where Cloudflare Turnstile tells it.
pub const TURNSTILE_URL: &str = "https://challenges.cloudflare.com/turnstile/v0/siteverify";

/// What services say when nothing is wrong but the token.
const TOKEN_REFUSED: &[&str] = &[
    "missing-input-response",
    "invalid-input-response",
    "invalid-or-already-seen-response",
    "already-seen-response",
    "expired-input-response",
    "timeout-or-duplicate",
];

/// Who tells whether a captcha was solved.
#[derive(Clone)]
pub struct CaptchaConfig {
    /// Where the service is asked.
    pub url: Url,
    /// What the service knows the server's page by; public.
    pub site_key: String,
    /// What it knows the server by.
    pub secret_key: Secret<String>,
}

/// A service that speaks as hCaptcha and Turnstile do.
pub struct SiteVerify {
    config: CaptchaConfig,
    forms: Forms,
}

impl SiteVerify {
    /// Asks nothing yet.
    pub fn new(config: CaptchaConfig, forms: Forms) -> Self {
        Self { config, forms }
    }

    async fn ask(&self, token: &str, address: Option<IpAddr>) -> Result<bool, CaptchaError> {
        let address = address.map(|address| address.to_string());
        let mut fields = vec![
            ("secret", self.config.secret_key.expose().as_str()),
            ("response", token),
            ("sitekey", self.config.site_key.as_str()),
        ];
        fields.extend(address.as_deref().map(|address| ("remoteip", address)));
        let answer = self.forms.post(self.config.url.clone(), None, &fields).await;
        let answer = answer.map_err(|error| CaptchaError::Unavailable(error.to_string()))?;
        let told: Told = answer.json();
        match (answer.status, told.success) {
            (200..=299, Some(true)) => Ok(true),
            (200..=499, Some(false)) if told.only_the_token_is_wrong() => Ok(false),
            (status, _) => {
                let codes = told.error_codes.join(", ");
                Err(CaptchaError::Unavailable(format!("the service answered {status} [{codes}]")))
            }
        }
    }
}

impl Checker for SiteVerify {
    fn check<'a>(&'a self, token: &'a str, address: Option<IpAddr>) -> BoxFuture<'a, Result<bool, CaptchaError>> {
        Box::pin(self.ask(token, address))
    }
}

/// What is read of an answer.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    success: Option<bool>,
    #[serde(rename = "error-codes")]
    error_codes: Vec<String>,
}

impl Told {
    /// A refusal without a reason is one of the token.
    fn only_the_token_is_wrong(&self) -> bool {
        self.error_codes.iter().all(|code| TOKEN_REFUSED.contains(&code.as_str()))
    }
}
