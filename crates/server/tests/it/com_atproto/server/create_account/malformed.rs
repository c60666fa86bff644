//! Requests that are none: 4xx, and nothing changed.

use std::io::Write;

use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::{NSID, create, created, person, refused, with};
use crate::seen::{self, refusal};

#[tokio::test]
async fn what_is_no_json_is_refused() {
    let pds = TestPds::start().await;
    for body in
        ["{", "nope", "{\"handle\":\"alice.test\"", "{\"handle\":\"alice.test\",}", "\u{feff}{}", "{} {}", "NaN"]
    {
        let (status, name, message) = pds.xrpc_post(NSID).body("application/json", body).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{body}");
        assert!(message.starts_with("Invalid JSON: "), "{body}: {message}");
    }
    for body in [&b"\xff\xfe{}"[..], b"{\"handle\":\"\xc3\x28.test\"}", b"{\"handle\":\"\\ud800.test\"}"] {
        assert_eq!(pds.xrpc_post(NSID).body("application/json", body).error().await.0, 400, "{body:?}");
    }
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn values_of_another_type_are_refused_by_place() {
    let pds = TestPds::start().await;
    for (body, message) in [
        (json!({}), "Missing required key \"handle\" at $"),
        (json!([]), "Expected object value type (got []) at $"),
        (json!("alice.test"), "Expected object value type (got \"alice.test\") at $"),
        (Value::Null, "Expected object value type (got null) at $"),
    ] {
        assert_eq!(refused(&pds, &body).await, refusal(400, "InvalidRequest", message), "{body}");
    }
    for field in
        ["handle", "email", "password", "inviteCode", "recoveryKey", "did", "verificationCode", "verificationPhone"]
    {
        for wrong in [json!(5), json!(true), json!([]), json!({}), json!(1.5), json!(1_u64 << 63)] {
            let mut body = person("alice");
            body[field] = wrong.clone();
            let (status, name, message) = refused(&pds, &body).await;
            assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{field}: {wrong}");
            assert!(message.contains(&format!("$.{field}")), "{field}: {message}");
        }
    }
    let expected = refusal(400, "InvalidRequest", "Invalid DID (got \"alice\") at $.did");
    assert_eq!(refused(&pds, &with(person("alice"), "did", "alice")).await, expected);
    for op in [json!(5), json!("x"), json!([]), json!({}), json!({ "type": "plc_operation" }), json!(true)] {
        let (status, name, _) = refused(&pds, &with(person("alice"), "plcOp", op.clone())).await;
        assert!(status == 400 && (name == "InvalidRequest" || name == "IncompatibleDidDoc"), "{op}: {name}");
    }
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn null_for_an_optional_field_is_refused_or_nothing() {
    let pds = TestPds::start().await;
    for field in ["inviteCode", "recoveryKey", "did", "plcOp", "verificationCode"] {
        let mut body = person("alice");
        body[field] = Value::Null;
        let (status, name, _) = refused(&pds, &body).await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{field}");
    }
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn an_unknown_field_is_ignored() {
    let pds = TestPds::start().await;
    let body = with(with(person("alice"), "favouriteColour", json!({ "a": [1, { "b": null }] })), "$type", "x");
    created(&pds, &body).await;
}

#[tokio::test]
async fn of_two_equal_keys_the_last_counts() {
    let pds = TestPds::start().await;
    let body = r#"{"handle":"first.test","handle":"second.test","email":"a@mail.test","password":"correct horse"}"#;
    let answer = pds.xrpc_post(NSID).body("application/json", body).ok().await;
    assert_eq!(answer["handle"], "second.test");
}

#[tokio::test]
async fn deep_and_huge_bodies_are_refused() {
    let pds = TestPds::start().await;
    for depth in [64, 100, 50_000] {
        let body = format!("{{\"handle\":\"alice.test\",\"x\":{}{}}}", "[".repeat(depth), "]".repeat(depth));
        let expected = refusal(400, "InvalidRequest", "JSON nested too deeply (maximum 64 levels)");
        assert_eq!(pds.xrpc_post(NSID).body("application/json", body).error().await, expected, "{depth}");
    }
    let too_large = refusal(413, "PayloadTooLarge", "request entity too large");
    let huge = with(person("alice"), "x", "x".repeat(150 * 1024));
    assert_eq!(refused(&pds, &huge).await, too_large);

    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(huge.to_string().as_bytes()).unwrap();
    let bomb = bomb.finish().unwrap();
    assert!(bomb.len() < 10_000);
    let call = pds.xrpc_post(NSID).header("content-encoding", "gzip").body("application/json", bomb);
    assert_eq!(call.error().await, too_large);
    let call = pds.xrpc_post(NSID).header("content-encoding", "gzip").body("application/json", "{}");
    assert_eq!(call.error().await.0, 400);
    let call = pds.xrpc_post(NSID).header("content-encoding", "rot13").body("application/json", "{}");
    assert_eq!(call.error().await.0, 415);
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn the_content_type_is_json() {
    let pds = TestPds::start().await;
    let body = person("alice").to_string();
    for (content_type, message) in [
        ("text/plain", "Wrong request encoding (Content-Type): text/plain"),
        (
            "application/x-www-form-urlencoded",
            "Wrong request encoding (Content-Type): application/x-www-form-urlencoded",
        ),
        ("", "Request encoding (Content-Type) required but not provided"),
        ("json", "Request encoding (Content-Type) required but not provided"),
    ] {
        let call = pds.xrpc_post(NSID).body(content_type, body.clone());
        assert_eq!(call.error().await, refusal(400, "InvalidRequest", message), "{content_type}");
    }
    let none = refusal(400, "InvalidRequest", "A request body is expected but none was provided");
    assert_eq!(pds.xrpc_post(NSID).error().await, none);
    seen::nothing_happened(&pds).await;
    pds.xrpc_post(NSID).body("Application/JSON; charset=utf-8", body).ok().await;
}

#[tokio::test]
async fn a_text_with_anything_in_it_is_only_text() {
    let pds = TestPds::start().await;
    let odd = "'; DROP TABLE accounts; --\u{0}\u{202e}😀";
    created(&pds, &with(person("alice"), "password", odd)).await;
    let sign_in = json!({ "identifier": "alice.test", "password": odd });
    pds.xrpc_post("com.atproto.server.createSession").json(&sign_in).ok().await;
    for field in ["email", "inviteCode", "recoveryKey", "handle"] {
        assert_eq!(create(&pds, &with(person("bob"), field, odd)).error().await.0, 400, "{field}");
    }
}
