//! Forms posted to services that the operator chose: the addresses are theirs, so nothing guards where they lead.
//!
//! Time and size are limited; what is posted is never in an error's text.

use std::time::Duration;

use allod_atproto::json::{self, Limits};
use bytes::{Bytes, BytesMut};
use reqwest::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use url::{Url, form_urlencoded};

use super::secret::Secret;
use crate::limits::{FORM_ANSWER_BYTES_MAX, FORM_TIMEOUT_SECS};

/// A name and password that a service knows the operator by.
pub type Credentials<'a> = (&'a str, &'a Secret<String>);

/// An answer, whole.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Reads what the body says; one that is no JSON of this form says nothing.
    pub fn json<T: DeserializeOwned + Default>(&self) -> T {
        json::read(&self.body, &Limits::bytes(FORM_ANSWER_BYTES_MAX)).unwrap_or_default()
    }
}

/// Why there is no answer: the connection, the time or the size.
#[derive(Debug, thiserror::Error)]
#[error("no answer: {0}")]
pub struct Unanswered(String);

/// Posts forms.
#[derive(Debug, Clone)]
pub struct Forms {
    client: reqwest::Client,
}

impl Forms {
    /// Takes a client, which should follow no redirects.
    pub fn new(client: reqwest::Client) -> Self {
        Self { client }
    }

    /// Posts a form, with HTTP Basic where there are credentials.
    pub async fn post(
        &self,
        url: Url,
        credentials: Option<Credentials<'_>>,
        fields: &[(&str, &str)],
    ) -> Result<Answer, Unanswered> {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = self.client.post(url).timeout(Duration::from_secs(FORM_TIMEOUT_SECS)).body(body);
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let request = match credentials {
            Some((name, password)) => request.basic_auth(name, Some(password.expose())),
            None => request,
        };
        let mut response = request.send().await.map_err(unanswered)?;
        let status = response.status().as_u16();
        let mut body = BytesMut::new();
        while let Some(piece) = response.chunk().await.map_err(unanswered)? {
            if body.len() + piece.len() > FORM_ANSWER_BYTES_MAX {
                return Err(Unanswered(format!("it is longer than {FORM_ANSWER_BYTES_MAX} bytes")));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer { status, body: body.freeze() })
    }
}

fn unanswered(error: reqwest::Error) -> Unanswered {
    let error = error.without_url();
    let cause = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
    Unanswered(format!("{error}{cause}"))
}
