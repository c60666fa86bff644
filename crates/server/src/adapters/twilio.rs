//! Twilio Verify, or whoever speaks like it.
//!
//! Spec: <https://www.twilio.com/docs/verify/api/verification>,
//! <https://www.twilio.com/docs/verify/api/verification-check>.

use allod_base::secret::Secret;
use allod_net::forms::{Answer, Forms};
use futures_util::future::BoxFuture;
use serde::Deserialize;
use url::Url;

use crate::domain::phone::{PhoneNumber, ProviderError, Verifier};

/// An account with Twilio Verify, or with whoever speaks like it.
#[derive(Clone)]
pub struct TwilioConfig {
    /// Where it is.
    pub base_url: Url,
    /// The account.
    pub account_sid: String,
    /// The account's password.
    pub auth_token: Secret<String>,
    /// The service that codes are of.
    pub service_sid: String,
}

/// What is read of an answer, good or bad.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Told {
    status: serde_json::Value,
    code: Option<u32>,
}

impl Told {
    fn read(answer: &Answer) -> Self {
        answer.json()
    }

    fn has_status(&self, status: &str) -> bool {
        self.status.as_str() == Some(status)
    }

    fn unavailable(&self, answer: &Answer) -> ProviderError {
        let code = self.code.map(|code| format!(", error {code}")).unwrap_or_default();
        ProviderError::Unavailable(format!("the provider answered {}{code}", answer.status))
    }
}

/// The error codes of numbers that get no message: malformed, no mobile, blocked by country or for fraud.
const NUMBER_REFUSED: &[u32] = &[60200, 60205, 60410, 60605, 21211, 21408, 21610, 21614];

/// Twilio Verify.
pub struct Twilio {
    config: TwilioConfig,
    forms: Forms,
}

impl Twilio {
    /// Asks nothing yet.
    pub fn new(config: TwilioConfig, forms: Forms) -> Self {
        Self { config, forms }
    }

    async fn post(&self, resource: &str, fields: &[(&str, &str)]) -> Result<(Answer, Told), ProviderError> {
        let mut url: Url = self.config.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(["v2", "Services", &self.config.service_sid, resource]);
        }
        let credentials = (self.config.account_sid.as_str(), &self.config.auth_token);
        let answer = self.forms.post(url, Some(credentials), fields).await;
        let answer = answer.map_err(|error| ProviderError::Unavailable(error.to_string()))?;
        let told = Told::read(&answer);
        Ok((answer, told))
    }

    async fn send_code(&self, number: &PhoneNumber) -> Result<(), ProviderError> {
        let fields = [("To", number.as_str()), ("Channel", "sms")];
        let (answer, told) = self.post("Verifications", &fields).await?;
        match answer.status {
            200..=299 if told.has_status("pending") => Ok(()),
            400 | 403 if told.code.is_some_and(|code| NUMBER_REFUSED.contains(&code)) => {
                Err(ProviderError::NumberRefused)
            }
            429 => Err(ProviderError::TooMany),
            _ => Err(told.unavailable(&answer)),
        }
    }

    async fn check_code(&self, number: &PhoneNumber, code: &str) -> Result<bool, ProviderError> {
        let (answer, told) = self.post("VerificationCheck", &[("To", number.as_str()), ("Code", code)]).await?;
        match answer.status {
            200..=299 if told.status.is_string() => Ok(told.has_status("approved")),
            // No code is waiting for this number: none was sent, it is too old, or it was found right before.
            404 => Ok(false),
            // It was typed wrong too often.
            429 if told.code == Some(60202) => Ok(false),
            429 => Err(ProviderError::TooMany),
            _ => Err(told.unavailable(&answer)),
        }
    }
}

impl Verifier for Twilio {
    fn send<'a>(&'a self, number: &'a PhoneNumber) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(self.send_code(number))
    }

    fn check<'a>(&'a self, number: &'a PhoneNumber, code: &'a str) -> BoxFuture<'a, Result<bool, ProviderError>> {
        Box::pin(self.check_code(number, code))
    }
}
