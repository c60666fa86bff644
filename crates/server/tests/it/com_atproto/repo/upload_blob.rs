//! `com.atproto.repo.uploadBlob`.

use std::io::{self, Write as _};

use allod_atproto::{Cid, Nsid};
use allod_blobstore::disk::DiskStep;
use allod_testkit::TestPds;
use bytes::Bytes;
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use futures_util::stream;
use serde_json::json;

use crate::{
    blobs::{
        UPLOAD, cid_of, content, files, files_become, get, refer, refer_missing, row, take_down, upload, uploaded,
    },
    elsewhere::{Resident, START_SECS},
    seen::{self, refusal},
};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zlib(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[tokio::test]
async fn answers_with_the_blob() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let answer = upload(&pds, &alice, "Text/Plain; charset=utf-8", "hello").ok().await;
    let expected = json!({ "blob": {
        "$type": "blob",
        "ref": { "$link": Cid::for_raw(b"hello").to_string() },
        "mimeType": "text/plain",
        "size": 5,
    }});
    assert_eq!(answer, expected);
    let row = row(&pds, &alice.did, &Cid::for_raw(b"hello")).await.unwrap();
    assert_eq!((row.mime_type.as_str(), row.size), ("text/plain", 5));
    assert!(row.unreferenced_since.is_some());
    assert_eq!(std::fs::read(&files(&pds)[0]).unwrap(), b"hello");
}

#[tokio::test]
async fn looks_at_the_bytes_before_it_believes_the_type() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for (said, bytes, expected) in [
        ("text/plain", PNG, "image/png"),
        ("*/*", PNG, "image/png"),
        ("audio/flac", b"fLaC\0\0\0\x22\x10\0\x10\0", "audio/flac"),
        ("image/png", b"<!DOCTYPE html><html></html>", "text/html"),
        ("text/plain", b"BM is short for many things", "text/plain"),
        ("image/svg+xml", b"<?xml version=\"1.0\"?><svg/>", "image/svg+xml"),
        ("application/octet-stream", b"", "application/octet-stream"),
        ("video/mp4", b"", "video/mp4"),
    ] {
        let answer = upload(&pds, &alice, said, bytes.to_vec()).ok().await;
        assert_eq!((&answer["blob"]["mimeType"], &answer["blob"]["size"]), (&json!(expected), &json!(bytes.len())));
    }
}

#[tokio::test]
async fn takes_bodies_that_come_in_pieces_and_of_any_size_within_the_limit() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for (seed, bytes) in [(1, 262_144), (2, 262_145), (3, 5 * 1024 * 1024)] {
        let bytes = content(seed, bytes);
        let pieces: Vec<_> = bytes.chunks(10_007).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
        let call = pds.xrpc_post(UPLOAD).bearer(&alice.access);
        let answer = call.stream("application/octet-stream", stream::iter(pieces)).ok().await;
        assert_eq!(cid_of(&answer), Cid::for_raw(&bytes));
        let row = row(&pds, &alice.did, &Cid::for_raw(&bytes)).await.unwrap();
        assert_eq!(row.size, bytes.len() as u64);
    }
    let empty = pds.xrpc_post(UPLOAD).bearer(&alice.access).stream("text/plain", stream::empty());
    assert_eq!(cid_of(&empty.ok().await), Cid::for_raw(b""));
}

#[tokio::test]
async fn a_disk_that_fails_under_a_decoder_is_not_the_clients_fault() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    pds.disk().fail(DiskStep::Read, 1, io::ErrorKind::Other);
    let coded = upload(&pds, &alice, "text/plain", gzip(&content(1, 600_000))).header("content-encoding", "gzip");
    let (status, name, _) = coded.error().await;
    assert_eq!((status, name.as_str(), pds.logged_errors().len()), (503, "NotEnoughResources", 1));
    pds.disk().clear();
    files_become(&pds, 0).await;
}

#[tokio::test]
async fn undoes_content_codings() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let bytes = content(1, 600_000);
    let coded =
        |coding: &str, body: Vec<u8>| upload(&pds, &alice, "text/plain", body).header("content-encoding", coding);
    for (coding, body) in [
        ("gzip", gzip(&bytes)),
        ("deflate", zlib(&bytes)),
        ("deflate, gzip", gzip(&zlib(&bytes))),
        ("identity", bytes.clone()),
    ] {
        let answer = coded(coding, body).ok().await;
        assert_eq!((cid_of(&answer), &answer["blob"]["size"]), (Cid::for_raw(&bytes), &json!(600_000)), "{coding}");
    }
    files_become(&pds, 1).await;
    let bomb = coded("gzip", gzip(&vec![0; 6 * 1024 * 1024])).error().await;
    assert_eq!(bomb, refusal(413, "PayloadTooLarge", "request entity too large"));
    for (coding, body) in
        [("gzip", b"nonsense".to_vec()), ("deflate", zlib(&bytes)[..500].to_vec()), ("br", vec![0xff; 9])]
    {
        let refused = coded(coding, body).error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", "unable to decode the request body"), "{coding}");
    }
    let unknown = coded("zstd", bytes.clone()).error().await;
    assert_eq!((unknown.0, unknown.1.as_str()), (415, "UnsupportedMediaType"));
    files_become(&pds, 1).await;
}

#[tokio::test]
async fn refuses_what_is_too_large_whether_or_not_it_says_so() {
    let pds = TestPds::options().config(|config| config.blob_upload_bytes_max = 300_000).start().await;
    let alice = pds.account("alice").await;
    let too_large = refusal(413, "PayloadTooLarge", "request entity too large");
    upload(&pds, &alice, "text/plain", content(1, 300_000)).ok().await;
    assert_eq!(upload(&pds, &alice, "text/plain", content(2, 300_001)).error().await, too_large);
    let pieces: Vec<_> = (0..4).map(|n| Ok(Bytes::from(content(n, 100_000)))).collect();
    let streamed = pds.xrpc_post(UPLOAD).bearer(&alice.access).stream("text/plain", stream::iter(pieces));
    assert_eq!(streamed.error().await, too_large);
    files_become(&pds, 1).await;
}

#[tokio::test]
async fn holds_accounts_to_their_quota() {
    let pds = TestPds::options().config(|config| config.blob_quota_bytes = 1000).start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let full = refusal(400, "InvalidRequest", "The account's blobs would come to more than it may hold (1000 bytes)");
    assert_eq!(upload(&pds, &alice, "text/plain", content(1, 1001)).error().await, full);
    uploaded(&pds, &alice, &content(2, 600)).await;
    assert_eq!(upload(&pds, &alice, "text/plain", content(3, 401)).error().await, full);
    uploaded(&pds, &alice, &content(2, 600)).await;
    uploaded(&pds, &alice, &content(4, 400)).await;
    assert_eq!(upload(&pds, &alice, "text/plain", "x").error().await, full);
    uploaded(&pds, &bob, &content(1, 1000)).await;
    files_become(&pds, 3).await;
}

#[tokio::test]
async fn the_newest_type_counts_until_a_record_refers_to_it() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let type_of = |answer: serde_json::Value| answer["blob"]["mimeType"].as_str().unwrap().to_owned();
    assert_eq!(type_of(upload(&pds, &alice, "text/plain", "{}").ok().await), "text/plain");
    assert_eq!(type_of(upload(&pds, &alice, "application/json", "{}").ok().await), "application/json");
    let cid = Cid::for_raw(b"{}");
    assert_eq!(row(&pds, &alice.did, &cid).await.unwrap().mime_type, "application/json");
    refer(&pds, &alice.did, "a", 1, &[cid]).await;
    assert_eq!(type_of(upload(&pds, &alice, "text/plain", "{}").ok().await), "application/json");
    assert_eq!(get(&pds, &alice.did, &cid).send().await.headers["content-type"], "application/json");
    files_become(&pds, 1).await;
}

#[tokio::test]
async fn many_uploads_of_the_same_bytes_make_one_blob() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let bytes = content(1, 300_000);
    let uploads = (0..8).map(|_| upload(&pds, &alice, "text/plain", bytes.clone()).ok());
    for answer in futures_util::future::join_all(uploads).await {
        assert_eq!(cid_of(&answer), Cid::for_raw(&bytes));
    }
    files_become(&pds, 1).await;
    let row = row(&pds, &alice.did, &Cid::for_raw(&bytes)).await.unwrap();
    assert!(files(&pds)[0].ends_with(&row.object));
}

#[tokio::test]
async fn what_an_imported_record_waits_for_is_shown_at_once() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let cid = Cid::for_raw(b"late");
    refer_missing(&pds, &alice.did, "a", &[cid]).await;
    uploaded(&pds, &alice, b"late").await;
    assert_eq!(get(&pds, &alice.did, &cid).send().await.body, "late");
}

#[tokio::test]
async fn bytes_that_were_taken_down_stay_out() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let cid = uploaded(&pds, &alice, b"bad").await;
    take_down(&pds, &alice.did, &cid, Some("a report")).await;
    for whoever in [&alice, &bob] {
        let refused = upload(&pds, whoever, "text/plain", "bad").error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", "Blob has been takendown, cannot re-upload"));
    }
    files_become(&pds, 1).await;
    take_down(&pds, &alice.did, &cid, None).await;
    uploaded(&pds, &bob, b"bad").await;
}

#[tokio::test]
async fn refuses_strangers_and_malformed_requests() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::wrong_verb(pds.xrpc_get(UPLOAD), "GET", "POST").await;
    let post = || pds.xrpc_post(UPLOAD);
    let refused = post().body("text/plain", "x").error().await;
    assert_eq!(refused, refusal(401, "AuthMissing", "Authentication Required"));
    for token in ["nonsense", alice.refresh.as_str()] {
        let refused = post().bearer(token).body("text/plain", "x").error().await;
        assert_eq!(refused, refusal(400, "InvalidToken", "Token could not be verified"));
    }
    let refused = post().admin().body("text/plain", "x").error().await;
    assert_eq!(refused, refusal(400, "InvalidToken", "Unexpected authorization type"));
    for content_type in ["", "nonsense", "text/"] {
        let refused = upload(&pds, &alice, content_type, "x").error().await;
        let text = "Request encoding (Content-Type) required but not provided";
        assert_eq!(refused, refusal(400, "InvalidRequest", text), "{content_type}");
    }
    files_become(&pds, 0).await;
    seen::deactivate(&pds, &alice.did).await;
    uploaded(&pds, &alice, b"an account that moves in").await;
    seen::take_down(&pds, &alice.did).await;
    let refused = upload(&pds, &alice, "text/plain", "x").error().await;
    assert_eq!(refused, refusal(401, "AccountTakedown", "Account has been taken down"));
}

#[tokio::test]
async fn takes_a_service_s_token_for_exactly_this() {
    let pds = TestPds::start().await;
    let resident = Resident::new(&pds, 50).await;
    let claims = |lxm: &str| {
        let mut claims = resident.claims(&pds);
        claims.lxm = Some(Nsid::parse(lxm).unwrap());
        claims
    };
    let send = |token: String| pds.xrpc_post(UPLOAD).bearer(&token).body("text/plain", "video");
    let token = || resident.sign(&claims(UPLOAD));
    let stranger = format!("Could not find user info for account: {}", resident.did);
    assert_eq!(send(token()).error().await, refusal(400, "InvalidRequest", &stranger));

    let body =
        json!({ "handle": "alice.test", "email": "a@mail.test", "password": "correct horse", "did": resident.did });
    pds.xrpc_post("com.atproto.server.createAccount").bearer(&resident.token(&pds)).json(&body).ok().await;
    for _ in 0..2 {
        assert_eq!(cid_of(&send(token()).ok().await), Cid::for_raw(b"video"), "an upload may be repeated");
    }
    assert!(row(&pds, &resident.did, &Cid::for_raw(b"video")).await.is_some());

    let other_method = resident.sign(&claims("com.atproto.server.createAccount"));
    assert_eq!(send(other_method).error().await.1, "BadJwtLexiconMethod");
    let mut other_audience = claims(UPLOAD);
    other_audience.aud = allod_atproto::service_auth::Audience::from(resident.did.clone());
    assert_eq!(send(resident.sign(&other_audience)).error().await.1, "BadJwtAudience");
    let mut over = claims(UPLOAD);
    (over.iat, over.exp) = (Some(START_SECS - 100), START_SECS);
    assert_eq!(send(resident.sign(&over)).error().await.1, "JwtExpired");
    let somebody = Resident::new(&pds, 60).await;
    let forged = allod_atproto::service_auth::encode(&claims(UPLOAD), &somebody.signing);
    assert_eq!(send(forged).error().await.1, "BadJwtSignature");
    seen::take_down(&pds, &resident.did).await;
    assert_eq!(send(token()).error().await, refusal(401, "AccountTakedown", "Account has been taken down"));
}
