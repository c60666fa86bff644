//! Captchas at sign-up: what a browser was given for solving one is shown to the service that gave it.
//!
//! Spec: <https://docs.hcaptcha.com/#verify-the-user-response-server-side>,
//! <https://developers.cloudflare.com/turnstile/get-started/server-side-validation/>.

use std::{net::IpAddr, sync::Arc};

use allod_base::{
    clock::{self, MICROS_PER_SEC},
    secret::Secret,
};
use allod_net::forms::Forms;
use allod_store::{Txn, tables::used_tokens};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use url::Url;

use super::keyed_hash::HashUse;
use crate::{app::App, limits::CAPTCHA_TOKEN_BYTES_MAX};

/// Where hCaptcha tells whether a captcha was solved.
pub const HCAPTCHA_URL: &str = "https://api.hcaptcha.com/siteverify";
/// Where Cloudflare Turnstile tells it.
pub const TURNSTILE_URL: &str = "https://challenges.cloudflare.com/turnstile/v0/siteverify";

/// How long a token is remembered that was used, in seconds: longer than any service takes it.
const USED_SECS: u64 = 60 * 60;

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

/// Tells solved captchas from others.
pub trait Checker: Send + Sync + 'static {
    /// Tells whether the token is of a captcha that was solved, at this address if it is known.
    fn check<'a>(&'a self, token: &'a str, address: Option<IpAddr>) -> BoxFuture<'a, Result<bool, CaptchaError>>;
}

/// Why nobody was let in.
#[derive(Debug, thiserror::Error)]
pub enum CaptchaError {
    /// There is no token.
    #[error("A captcha is required: send the token of a solved one as verificationCode")]
    Missing,
    /// The token is wrong, used or too old.
    #[error("Could not verify the captcha. Please try again.")]
    Unsolved,
    /// The service could not be asked, or did not answer as it should.
    #[error("captchas can't be checked: {0}")]
    Unavailable(String),
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

/// A token that was found right, to be used up by the account that is made with it.
#[derive(Debug)]
pub struct Solved {
    token_hash: [u8; 32],
    ends_at: i64,
}

impl Solved {
    /// Adds: the token is used up. Conflict: [`allod_store::ConflictKey::TokenUsed`].
    pub fn use_up(&self, txn: &mut Txn) {
        used_tokens::use_up(txn, &self.token_hash, self.ends_at);
    }
}

/// Puts the gate up.
pub fn gate(config: &CaptchaConfig, forms: &Forms) -> Arc<dyn Checker> {
    Arc::new(SiteVerify::new(config.clone(), forms.clone()))
}

/// Finds out whether a token is of a solved captcha. Services know a token once, and it is used up here as well.
pub async fn verify(
    app: &App,
    checker: &dyn Checker,
    token: &str,
    address: Option<IpAddr>,
) -> Result<Solved, CaptchaError> {
    let token = token.trim();
    if token.len() > CAPTCHA_TOKEN_BYTES_MAX {
        return Err(CaptchaError::Unsolved);
    }
    // The machine's own address says nothing of a caller.
    let address = address.filter(|address| !address.is_loopback());
    if !checker.check(token, address).await? {
        return Err(CaptchaError::Unsolved);
    }
    Ok(Solved {
        token_hash: app.keyed_hash.hash(HashUse::CaptchaToken, &[token.as_bytes()]),
        ends_at: clock::to_store(app.newest_time.for_others_micros() + USED_SECS * MICROS_PER_SEC),
    })
}
