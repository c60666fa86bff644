//! Coding answers for the way: gzip, Brotli or Zstandard, as the client likes best.
//!
//! An answer is encoded whole before it is sent, so that an encoder's state (up to some MiB) is not held while a slow
//! client reads.

use std::{
    convert::Infallible,
    future::{Ready, ready},
    sync::Arc,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ACCEPT_ENCODING, CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, ETAG, VARY},
};
use http_body_util::{BodyExt as _, Full};
use tokio::{sync::Semaphore, task::spawn_blocking};
use tower_http::{CompressionLevel, compression::Compression};
use tower_service::Service;

use crate::{body::ResponseBody, limits};

/// The cheapest level: Brotli and zstd make nothing much shorter at the next ones, for several times the work.
const LEVEL: CompressionLevel = CompressionLevel::Precise(1);

/// Codes answers.
#[derive(Debug)]
pub struct Coder {
    turns: Arc<Semaphore>,
}

/// Which codings a request takes.
#[derive(Debug)]
pub struct Accepted(HeaderMap);

impl Accepted {
    /// Reads a request's method and headers; nothing when its answer is not coded. Answers to HEAD are as those to GET.
    pub fn read(method: &Method, headers: &HeaderMap) -> Option<Self> {
        if method != Method::GET && method != Method::HEAD {
            return None;
        }
        let mut accepted = HeaderMap::new();
        for value in headers.get_all(ACCEPT_ENCODING) {
            accepted.append(ACCEPT_ENCODING, value.clone());
        }
        Some(Self(accepted))
    }
}

impl Default for Coder {
    fn default() -> Self {
        Self { turns: Arc::new(Semaphore::new(limits::CODED_AT_ONCE_MAX)) }
    }
}

impl Coder {
    /// Codes an answer if it is one that is coded and the client takes a coding.
    pub async fn code(&self, accepted: Option<Accepted>, response: Response<ResponseBody>) -> Response<ResponseBody> {
        let Some(Accepted(accepted)) = accepted else { return response };
        let Some(plain) = codable(&response).cloned() else { return response };
        let (mut parts, body) = response.into_parts();
        parts.headers.append(VARY, HeaderValue::from_name(ACCEPT_ENCODING));
        let coded = if accepted.is_empty() {
            None
        } else if plain.len() <= limits::CODED_INLINE_BYTES_MAX {
            coded(accepted, plain)
        } else {
            self.coded_elsewhere(accepted, plain).await
        };
        match coded {
            Some((coding, bytes)) => {
                parts.headers.insert(CONTENT_ENCODING, coding);
                Response::from_parts(parts, ResponseBody::bytes(bytes))
            }
            None => Response::from_parts(parts, body),
        }
    }

    async fn coded_elsewhere(&self, accepted: HeaderMap, plain: Bytes) -> Option<(HeaderValue, Bytes)> {
        // When there is more to code than there are processors for it, coding costs everybody more than it saves.
        let turn = Arc::clone(&self.turns).try_acquire_owned().ok()?;
        let work = spawn_blocking(move || {
            let coded = coded(accepted, plain);
            drop(turn);
            coded
        });
        work.await.ok().flatten()
    }
}

/// The body of an answer that is coded: JSON that anybody may see, in memory and not too short.
///
/// What is private is not coded. Where an answer has a secret and something of the request's, its coded length tells of
/// the secret (BREACH).
fn codable(response: &Response<ResponseBody>) -> Option<&Bytes> {
    let headers = response.headers();
    let is_json = headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/json"));
    let is_plain = !headers.contains_key(CONTENT_ENCODING) && !headers.contains_key(ETAG);
    let is_public = !headers.contains_key(CACHE_CONTROL);
    let is_wanted = response.status() == StatusCode::OK && is_json && is_plain && is_public;
    let bytes = response.body().as_bytes().filter(|_| is_wanted)?;
    (bytes.len() >= limits::CODED_ANSWER_BYTES_MIN).then_some(bytes)
}

/// Codes bytes in the coding that the client likes best; nothing when it likes none.
fn coded(accepted: HeaderMap, plain: Bytes) -> Option<(HeaderValue, Bytes)> {
    let plain_bytes = plain.len();
    let mut request = Request::new(());
    *request.headers_mut() = accepted;
    let mut compression =
        Compression::new(Finished(Some(plain))).quality(LEVEL).compress_when(|_, _, _: &_, _: &_| true);
    // Everything is in memory, so that nothing is waited for.
    let response = compression.call(request).now_or_never()?.ok()?;
    let (parts, body) = response.into_parts();
    let coding = parts.headers.get(CONTENT_ENCODING)?.clone();
    let bytes = body.collect().now_or_never()?.ok()?.to_bytes();
    (bytes.len() < plain_bytes).then_some((coding, bytes))
}

/// Answers what is there.
#[derive(Clone)]
struct Finished(Option<Bytes>);

impl Service<Request<()>> for Finished {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Request<()>) -> Self::Future {
        ready(Ok(Response::new(Full::new(self.0.take().unwrap_or_default()))))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http::header::CONTENT_LENGTH;

    use super::*;

    fn plain(bytes: usize) -> String {
        format!("[{}]", "\"the same words \",".repeat(bytes / 18 + 1))
    }

    async fn code(accept: Option<&str>, response: Response<ResponseBody>) -> Response<ResponseBody> {
        let mut headers = HeaderMap::new();
        if let Some(accept) = accept {
            headers.insert(ACCEPT_ENCODING, HeaderValue::from_str(accept).unwrap());
        }
        Coder::default().code(Accepted::read(&Method::GET, &headers), response).await
    }

    fn json(text: &str) -> Response<ResponseBody> {
        let mut response = Response::new(ResponseBody::bytes(text.to_owned()));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json; charset=utf-8"));
        response
    }

    fn coding(response: &Response<ResponseBody>) -> &str {
        response.headers().get(CONTENT_ENCODING).map_or("", |value| value.to_str().unwrap())
    }

    fn decoded(response: &Response<ResponseBody>) -> Vec<u8> {
        let bytes = response.body().as_bytes().unwrap().clone();
        let mut plain = Vec::new();
        match coding(response) {
            "gzip" => drop(flate2::read::GzDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap()),
            "br" => drop(brotli_decompressor::Decompressor::new(&bytes[..], 4096).read_to_end(&mut plain).unwrap()),
            "" => plain = bytes.to_vec(),
            // Its magic number is looked at; other people's clients read it.
            "zstd" => assert_eq!(bytes[..4], [0x28, 0xb5, 0x2f, 0xfd]),
            other => panic!("{other}"),
        }
        plain
    }

    #[tokio::test]
    async fn the_client_says_which_coding_it_likes() {
        for (accept, expected) in [
            (None, ""),
            (Some(""), ""),
            (Some("identity"), ""),
            (Some("compress, deflate"), ""),
            (Some("gzip"), "gzip"),
            (Some("GZIP"), "gzip"),
            (Some("gzip;q=0"), ""),
            (Some("gzip;q=0, br;q=0.1"), "br"),
            (Some("gzip;q=1.0, br;q=0.5, zstd;q=0.2"), "gzip"),
            (Some("zstd"), "zstd"),
            (Some("gzip, deflate, br, zstd"), "zstd"),
            (Some("gzip, deflate"), "gzip"),
        ] {
            for bytes in [2_000, 200_000] {
                let text = plain(bytes);
                let response = code(accept, json(&text)).await;
                assert_eq!(coding(&response), expected, "{accept:?}");
                assert_eq!(response.headers()[VARY], "accept-encoding");
                assert!(!response.headers().contains_key(CONTENT_LENGTH));
                if expected != "zstd" {
                    assert_eq!(decoded(&response), text.as_bytes());
                }
                let sent = response.body().as_bytes().unwrap().len();
                assert_eq!(sent < text.len() / 10, !expected.is_empty(), "{accept:?}: {sent}");
            }
        }
    }

    #[tokio::test]
    async fn what_is_short_private_or_of_another_kind_is_sent_as_it_is() {
        let text = plain(2_000);
        let with = |name: http::HeaderName, value: &'static str| {
            let mut response = json(&text);
            response.headers_mut().insert(name, HeaderValue::from_static(value));
            response
        };
        let mut failed = json(&text);
        *failed.status_mut() = StatusCode::BAD_REQUEST;
        for response in [
            json(&text[..limits::CODED_ANSWER_BYTES_MIN - 1]),
            with(CACHE_CONTROL, "private"),
            with(CACHE_CONTROL, "no-store"),
            with(ETAG, "\"a\""),
            with(CONTENT_ENCODING, "gzip"),
            with(CONTENT_TYPE, "application/vnd.ipld.car"),
            with(CONTENT_TYPE, "text/html"),
            failed,
        ] {
            let before = (response.headers().clone(), response.body().as_bytes().cloned());
            let after = code(Some("gzip, br, zstd"), response).await;
            assert_eq!((after.headers().clone(), after.body().as_bytes().cloned()), before);
        }
        let mut headers = HeaderMap::new();
        headers.insert(ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        assert!(Accepted::read(&Method::POST, &headers).is_none());
    }
}
