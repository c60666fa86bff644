//! Requests built once and sent many times: only their numbers change, so that the driver costs little.

use serde_json::{Value, json};

use crate::http;

/// How many digits a changing number has.
const NUMBER_DIGITS: usize = 10;
/// What stands where a number goes: nothing else in a request looks like it.
const NUMBER: &str = "@@@@@@@@@@";
/// The collection that is written to and read from.
pub(super) const COLLECTION: &str = "app.bsky.feed.post";

/// A whole request, and where numbers go in it.
pub(super) struct Request {
    bytes: Vec<u8>,
    numbers: Vec<usize>,
}

impl Request {
    fn new(bytes: Vec<u8>) -> Self {
        let numbers = (0..bytes.len().saturating_sub(NUMBER_DIGITS - 1))
            .filter(|&at| bytes.get(at..at + NUMBER_DIGITS) == Some(NUMBER.as_bytes()))
            .collect();
        Self { bytes, numbers }
    }

    /// Asks for a path, with a session or without.
    pub(super) fn get(authority: &str, path: &str, token: Option<&str>) -> Self {
        Self::new(http::get(authority, path, &token.map(authorization).unwrap_or_default()))
    }

    /// Creates one post.
    pub(super) fn create_record(authority: &str, did: &str, token: &str) -> Self {
        let body = json!({ "repo": did, "collection": COLLECTION, "record": post() });
        Self::json(authority, "com.atproto.repo.createRecord", token, &body)
    }

    /// Creates many posts at once.
    pub(super) fn apply_writes(authority: &str, did: &str, token: &str, count: usize) -> Self {
        let create =
            json!({ "$type": "com.atproto.repo.applyWrites#create", "collection": COLLECTION, "value": post() });
        let body = json!({ "repo": did, "writes": vec![create; count] });
        Self::json(authority, "com.atproto.repo.applyWrites", token, &body)
    }

    /// Uploads a blob whose bytes hold a number, so that no two are the same.
    pub(super) fn upload_blob(authority: &str, token: &str, blob: &[u8]) -> Self {
        let path = "/xrpc/com.atproto.repo.uploadBlob";
        Self::new(http::post(authority, path, &authorization(token), "image/jpeg", blob))
    }

    /// Calls a method with JSON.
    pub(super) fn json(authority: &str, method: &str, token: &str, body: &Value) -> Self {
        let body = body.to_string();
        let path = format!("/xrpc/{method}");
        Self::new(http::post(authority, &path, &authorization(token), "application/json", body.as_bytes()))
    }

    /// Writes the request as the one with this number.
    pub(super) fn write(&self, number: u64, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&self.bytes);
        for (mut rest, &at) in (number * self.numbers.len() as u64..).zip(&self.numbers) {
            for place in buffer.iter_mut().skip(at).take(NUMBER_DIGITS).rev() {
                *place = b'0' + u8::try_from(rest % 10).unwrap_or_default();
                rest /= 10;
            }
        }
    }
}

/// A JPEG of `bytes` random bytes with a place for a number behind its head.
pub(super) fn jpeg(bytes: usize, seed: u64) -> Vec<u8> {
    let mut state = seed | 1;
    let mut blob: Vec<u8> = (0..bytes)
        .map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            // Never the sign that a number's place is made of.
            state.to_le_bytes().first().map_or(0, |byte| byte & 0x3f)
        })
        .collect();
    let head = b"\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01\x01\x00\x00\x01\x00\x01\x00\x00";
    for (place, byte) in blob.iter_mut().zip(head.iter().chain(NUMBER.as_bytes())) {
        *place = *byte;
    }
    blob
}

/// The post that every figure was taken with, about 300 bytes of JSON.
fn post() -> Value {
    json!({
        "$type": COLLECTION,
        "text": format!(
            "load test post number {NUMBER}: the quick brown fox jumps over the lazy dog, \
             and a little more text to look like a real post"
        ),
        "langs": ["en"],
        "createdAt": "2026-11-25T09:00:00.000Z",
    })
}

fn authorization(token: &str) -> String {
    format!("authorization: Bearer {token}\r\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(request: &Request, number: u64) -> String {
        let mut buffer = Vec::new();
        request.write(number, &mut buffer);
        String::from_utf8_lossy(&buffer).into_owned()
    }

    #[test]
    fn every_record_of_every_request_has_its_own_number() {
        let request = Request::apply_writes("h:1", "did:plc:a", "t", 2);
        let [first, second] = [written(&request, 0), written(&request, 1)];
        for (text, numbers) in [(&first, ["0000000000", "0000000001"]), (&second, ["0000000002", "0000000003"])] {
            assert!(numbers.iter().all(|number| text.contains(&format!("post number {number}:"))), "{text}");
            assert!(!text.contains('@') && text.contains("authorization: Bearer t\r\n"), "{text}");
        }
        assert_eq!(first.len(), second.len());
    }

    #[test]
    fn a_request_without_a_number_stays_the_same() {
        let request = Request::get("h:1", "/p", None);
        assert_eq!(written(&request, 7), "GET /p HTTP/1.1\r\nhost: h:1\r\n\r\n");
    }

    #[test]
    fn a_blob_has_one_number() {
        let request = Request::upload_blob("h:1", "t", &jpeg(5000, 0));
        assert_eq!(request.numbers.len(), 1);
        assert_ne!(jpeg(5000, 1), jpeg(5000, 2));
    }
}
