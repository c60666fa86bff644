//! Talking to a did:plc directory.
//!
//! What matters most is telling apart what an unanswered question leaves open: an operation that was refused, one that
//! never left, and one that may have been taken. A directory that already has an operation refuses it when it comes
//! again; so after anything but a first attempt, ask [`audit_log`](PlcClient::audit_log) before believing a refusal.

use std::time::Duration;

use allod_atproto::{
    Cid, Did,
    json::{self, Limits},
    plc::{Operation, PlcData},
};
use bytes::{Bytes, BytesMut};
use http::StatusCode;
use serde_json::Value as Json;
use url::Url;

use crate::rules::LogEntry;
use crate::time;

/// How long an operation's answer is waited for, in seconds, connecting included.
pub const SUBMIT_TIMEOUT_SECS: u64 = 15;
/// How long any other answer is waited for, in seconds, connecting included.
pub const READ_TIMEOUT_SECS: u64 = 10;
/// The largest document, state or operation that is read, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// The largest audit log that is read, in bytes.
pub const AUDIT_LOG_BYTES_MAX: usize = 8 * 1024 * 1024;
/// How many values an audit log may have: about 40 for each operation.
pub const AUDIT_LOG_VALUES_MAX: usize = 500_000;
/// How much of a refusal's text is kept, in characters.
pub const MESSAGE_CHARS_MAX: usize = 1000;

const ANSWER: Limits = Limits::bytes(ANSWER_BYTES_MAX);
const AUDIT_LOG: Limits = Limits::bytes(AUDIT_LOG_BYTES_MAX).values(AUDIT_LOG_VALUES_MAX);

/// How long answers are waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// For an operation.
    pub submit: Duration,
    /// For anything else.
    pub read: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self { submit: Duration::from_secs(SUBMIT_TIMEOUT_SECS), read: Duration::from_secs(READ_TIMEOUT_SECS) }
    }
}

/// A did:plc directory, seen from outside. Cheap to clone.
#[derive(Debug, Clone)]
pub struct PlcClient {
    base_url: Url,
    http: reqwest::Client,
    timeouts: Timeouts,
}

/// Why an operation is not known to be taken, and what that means.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SubmitError {
    /// The directory answered that it does not take the operation (a 4xx). This attempt changed nothing, and sending
    /// the same again will not help.
    #[error("the did:plc directory rejected the operation ({status}): {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The directory's own text.
        message: String,
    },
    /// The directory did not take the operation up: there was no connection, or it asked to come back later (429).
    /// This attempt changed nothing; the same may be sent again.
    #[error("the did:plc directory is unreachable: {reason}")]
    Unreachable {
        /// For the log.
        reason: String,
    },
    /// The operation was sent, and no answer or no sensible one came back: it may have been taken.
    #[error("the outcome at the did:plc directory is unknown: {reason}")]
    Unknown {
        /// For the log.
        reason: String,
    },
}

/// Why the directory could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// No answer, or one that says to ask another time.
    #[error("can't read from the did:plc directory: {reason}")]
    Unavailable {
        /// For the log.
        reason: String,
    },
    /// An answer about this DID that gives nothing (a 4xx); asking about another one may help.
    #[error("the did:plc directory rejected the request: {status}")]
    Refused {
        /// The HTTP status.
        status: u16,
    },
    /// An answer that is not what the endpoint gives, or larger than it may be.
    #[error("invalid response from the did:plc directory: {reason}")]
    Invalid {
        /// For the log.
        reason: String,
    },
}

impl PlcClient {
    /// Makes a client of the directory at `base_url`, which is an `http` or `https` address with or without a path.
    ///
    /// `http` should follow no redirects: a directory has none, and a followed POST may turn into a GET.
    pub fn new(base_url: Url, http: reqwest::Client) -> Self {
        Self::with_timeouts(base_url, http, Timeouts::default())
    }

    /// Makes a client that waits as long as told.
    pub fn with_timeouts(base_url: Url, http: reqwest::Client, timeouts: Timeouts) -> Self {
        Self { base_url, http, timeouts }
    }

    /// The directory's address.
    pub fn base_url(&self) -> &Url {
        &self.base_url
    }

    /// Sends an operation. `Ok` means that the directory took it.
    pub async fn submit(&self, did: &Did, operation: &Operation) -> Result<(), SubmitError> {
        let request = self.http.post(self.url(did, &[])).timeout(self.timeouts.submit).json(&operation.to_json());
        let response = request.send().await.map_err(|error| not_sent_or_unknown(&error))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        // The status is what decides; a text that can't be read changes nothing.
        let text = read_body(response, ANSWER_BYTES_MAX).await.unwrap_or_default();
        let message = message(status, &text);
        match status {
            StatusCode::TOO_MANY_REQUESTS => Err(SubmitError::Unreachable { reason: format!("{status}: {message}") }),
            StatusCode::REQUEST_TIMEOUT => Err(SubmitError::Unknown { reason: format!("{status}: {message}") }),
            _ if status.is_client_error() => Err(SubmitError::Refused { status: status.as_u16(), message }),
            _ => Err(SubmitError::Unknown { reason: format!("{status}: {message}") }),
        }
    }

    /// Reads the DID document; `None` when the DID does not exist or was ended.
    pub async fn document(&self, did: &Did) -> Result<Option<Json>, ReadError> {
        self.get(did, &[], &ANSWER).await
    }

    /// Reads the state; `None` when the DID does not exist or was ended.
    pub async fn data(&self, did: &Did) -> Result<Option<PlcData>, ReadError> {
        let Some(operation) = self.last_operation(did).await? else { return Ok(None) };
        Ok(operation.data())
    }

    /// Reads the last valid operation; `None` when the DID does not exist. A tombstone is an operation.
    pub async fn last_operation(&self, did: &Did) -> Result<Option<Operation>, ReadError> {
        let json = self.get(did, &["log", "last"], &ANSWER).await?;
        json.map(|json| Operation::parse(&json).map_err(|error| invalid(error.to_string()))).transpose()
    }

    /// Reads the audit log, oldest first, undone operations included; `None` when the DID does not exist.
    ///
    /// It is read, not verified: see [`verify_audit_log`](crate::rules::verify_audit_log).
    pub async fn audit_log(&self, did: &Did) -> Result<Option<Vec<LogEntry>>, ReadError> {
        let json = self.get(did, &["log", "audit"], &AUDIT_LOG).await?;
        json.as_ref().map(read_audit_log).transpose()
    }

    async fn get(&self, did: &Did, path: &[&str], limits: &Limits) -> Result<Option<Json>, ReadError> {
        let unavailable = |reason: String| ReadError::Unavailable { reason };
        let request = self.http.get(self.url(did, path)).timeout(self.timeouts.read);
        let response = request.send().await.map_err(|error| unavailable(reason(&error)))?;
        let status = response.status();
        match status {
            StatusCode::NOT_FOUND | StatusCode::GONE => return Ok(None),
            _ if status.is_success() => {}
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => return Err(unavailable(status.to_string())),
            _ if status.is_client_error() => return Err(ReadError::Refused { status: status.as_u16() }),
            _ => return Err(unavailable(status.to_string())),
        }
        let body = read_body(response, limits.bytes_max).await?;
        json::parse(&body, limits).map(Some).map_err(|error| invalid(error.to_string()))
    }

    fn url(&self, did: &Did, path: &[&str]) -> Url {
        let mut url = self.base_url.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().push(did.as_str()).extend(path);
        }
        url
    }
}

/// Reads an audit log from its JSON, as [`PlcClient::audit_log`] does.
pub fn read_audit_log(json: &Json) -> Result<Vec<LogEntry>, ReadError> {
    let entries = json.as_array().ok_or_else(|| invalid("the audit log is not a list".to_owned()))?;
    entries.iter().map(|entry| log_entry(entry).ok_or_else(|| invalid("an audit log entry".to_owned()))).collect()
}

/// Reads one entry of an audit log.
fn log_entry(entry: &Json) -> Option<LogEntry> {
    let text = |name| entry.get(name).and_then(Json::as_str);
    Some(LogEntry {
        did: Did::parse(text("did")?).ok()?,
        operation: Operation::parse(entry.get("operation")?).ok()?,
        cid: Cid::parse(text("cid")?).ok()?,
        nullified: entry.get("nullified")?.as_bool()?,
        created_at_millis: time::parse_millis(text("createdAt")?)?,
    })
}

/// A request that failed before it left is harmless; after that, anything may have happened.
fn not_sent_or_unknown(error: &reqwest::Error) -> SubmitError {
    let reason = reason(error);
    if error.is_connect() || error.is_builder() {
        SubmitError::Unreachable { reason }
    } else {
        SubmitError::Unknown { reason }
    }
}

/// The error with its causes, without the address, which may be private.
fn reason(error: &reqwest::Error) -> String {
    let mut text = if error.is_timeout() { "timed out".to_owned() } else { "failed".to_owned() };
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

async fn read_body(mut response: reqwest::Response, bytes_max: usize) -> Result<Bytes, ReadError> {
    let mut body = BytesMut::new();
    loop {
        let chunk = response.chunk().await.map_err(|error| ReadError::Unavailable { reason: reason(&error) })?;
        let Some(chunk) = chunk else { return Ok(body.freeze()) };
        if body.len() + chunk.len() > bytes_max {
            return Err(invalid(format!("more than {bytes_max} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
}

/// The directory's own text when it gave one, else the status.
fn message(status: StatusCode, body: &[u8]) -> String {
    let json: Option<Json> = json::parse(body, &ANSWER).ok();
    let told = json.as_ref().and_then(|json| json.get("message")).and_then(Json::as_str);
    let text = told.map_or_else(|| status.to_string(), str::to_owned);
    text.chars().take(MESSAGE_CHARS_MAX).collect()
}

fn invalid(reason: String) -> ReadError {
    ReadError::Invalid { reason }
}
