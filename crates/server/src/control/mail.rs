//! How mail is doing, as operators see it, and whether a letter gets through.

use allod_base::clock;
use allod_store::ReadError;
use serde::{Deserialize, Serialize};

use super::{ControlError, execute::refusal};
use crate::{
    app::App,
    domain::{emails, mail::SendNowError},
};

/// How mail is doing.
#[derive(Debug, Serialize, Deserialize)]
pub struct MailReport {
    /// What becomes of letters: `sent`, `captured` or `kept back`.
    pub letters_are: String,
    /// How many wait.
    pub waiting: i64,
    /// How many of them were tried without success.
    pub tried: i64,
    /// Since when the oldest waits, RFC 3339.
    pub oldest_at: Option<String>,
    /// When the last one was sent since the server runs, RFC 3339.
    pub last_sent_at: Option<String>,
    /// Why the last one that was not sent since the server runs was not.
    pub last_error: Option<String>,
    /// When that was, RFC 3339.
    pub last_error_at: Option<String>,
}

/// A letter got through.
#[derive(Debug, Serialize, Deserialize)]
pub struct MailTested {
    /// Whom to.
    pub to: String,
}

/// Tells how mail is doing.
pub(super) async fn status(app: &App) -> Result<MailReport, ReadError> {
    let status = app.mail.status().await?;
    let letters_are = match (status.is_sent, app.mailbox.is_some()) {
        (_, true) => "captured",
        (true, false) => "sent",
        (false, false) => "kept back",
    };
    let (error_at, last_error) = status.last_error.unzip();
    Ok(MailReport {
        letters_are: letters_are.to_owned(),
        waiting: status.outbox.waiting,
        tried: status.outbox.tried,
        oldest_at: status.outbox.oldest_at.map(|micros| clock::datetime(clock::from_store(micros))),
        last_sent_at: status.last_sent_at_micros.map(clock::datetime),
        last_error,
        last_error_at: error_at.map(clock::datetime),
    })
}

/// Sends a letter at once.
pub(super) async fn test(app: &App, to: &str) -> Result<MailTested, ControlError> {
    let address = emails::EmailAddress::parse(to).map_err(|error| refusal("InvalidRequest", error.to_string()))?;
    let name = &app.config.service.name;
    let (subject, body) = (format!("Test letter from {name}"), format!("This server's mail gets through.\n\n{name}"));
    match app.mail.send_now(address.as_str(), subject, body).await {
        Ok(()) => Ok(MailTested { to: address.as_str().to_owned() }),
        Err(error @ SendNowError::NoMailServer) => Err(refusal("InvalidRequest", error.to_string())),
        Err(error @ SendNowError::Transport(_)) => Err(refusal("UpstreamFailure", error.to_string())),
    }
}
