//! Posts forms to services of the operator's choice, to any address: see [`operator`](crate::operator).
//!
//! Time and size are limited; the text of an error never has a field of the form.

use std::time::Duration;

use allod_atproto::json::{self, Limits};
use allod_base::secret::Secret;
use bytes::{Bytes, BytesMut};
use reqwest::header::CONTENT_TYPE;
use serde::de::DeserializeOwned;
use url::{Url, form_urlencoded};

use crate::limits::{FORM_ANSWER_BYTES_MAX, FORM_TIMEOUT_SECS};

/// The operator's name and password at a service.
pub type Credentials<'a> = (&'a str, &'a Secret<String>);

/// A whole answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: Bytes,
}

impl Answer {
    /// Parses the body as JSON; the default value if it is something else.
    pub fn json<T: DeserializeOwned + Default>(&self) -> T {
        json::read(&self.body, &Limits::bytes(FORM_ANSWER_BYTES_MAX)).unwrap_or_default()
    }
}

/// Why there is no answer: connection, timeout or size.
#[derive(Debug, thiserror::Error)]
#[error("no response: {0}")]
pub struct Unanswered(String);

/// A client that posts forms.
#[derive(Debug, Clone)]
pub struct Forms {
    client: reqwest::Client,
}

impl Forms {
    /// Wraps a client, which should follow no redirects.
    pub fn new(client: reqwest::Client) -> Self {
        Self { client }
    }

    /// Posts a form, with HTTP Basic authentication if there are credentials.
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
                return Err(Unanswered(format!("the response is longer than {FORM_ANSWER_BYTES_MAX} bytes")));
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
