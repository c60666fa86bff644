//! The network outside, as a test wants it: nothing is there until it is put there.

use std::collections::HashMap;

use allod_atproto::json::{self, Limits};
use allod_net::outbound::{Answer, Outbound, OutboundError};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use url::Url;

/// Web pages and TXT records of a test; everything else fails as if it were not there.
#[derive(Debug, Default)]
pub struct ScriptedNetwork {
    pages: Mutex<HashMap<String, Answer>>,
    records: Mutex<HashMap<String, Vec<String>>>,
    posts: Mutex<Vec<(String, serde_json::Value)>>,
}

impl ScriptedNetwork {
    /// Puts a page at a URL.
    pub fn page(&self, url: &str, status: u16, body: impl Into<Bytes>) {
        let url = Url::parse(url).expect("a test gives URLs that parse");
        self.pages.lock().insert(url.to_string(), Answer { status, body: body.into() });
    }

    /// Takes what was posted so far: where to, and what.
    pub fn posts(&self) -> Vec<(String, serde_json::Value)> {
        std::mem::take(&mut self.posts.lock())
    }

    /// Puts TXT records at a name, with or without the root's dot.
    pub fn txt(&self, name: &str, records: &[&str]) {
        self.records
            .lock()
            .insert(name.trim_end_matches('.').to_owned(), records.iter().map(|&record| record.to_owned()).collect());
    }
}

impl Outbound for ScriptedNetwork {
    fn get<'a>(&'a self, url: &'a Url, bytes_max: usize) -> BoxFuture<'a, Result<Answer, OutboundError>> {
        let answer = self.pages.lock().get(url.as_str()).cloned();
        Box::pin(async move {
            match answer {
                Some(answer) if answer.body.len() > bytes_max => Err(OutboundError::TooLarge { bytes_max }),
                Some(answer) => Ok(answer),
                None => Err(OutboundError::Failed(format!("the test has no page at {url}"))),
            }
        })
    }

    fn post_json<'a>(
        &'a self,
        url: &'a Url,
        json: String,
        bytes_max: usize,
    ) -> BoxFuture<'a, Result<Answer, OutboundError>> {
        let json = json::parse(json.as_bytes(), &Limits::OWN).expect("what is posted as JSON is JSON");
        self.posts.lock().push((url.to_string(), json));
        self.get(url, bytes_max)
    }

    fn txt<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<Vec<String>, OutboundError>> {
        let records = self.records.lock().get(name.trim_end_matches('.')).cloned().unwrap_or_default();
        Box::pin(async move { Ok(records) })
    }
}
