//! `com.atproto.server.createInviteCode`.

use allod_testkit::TestPds;
use serde_json::{Value, json};

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.createInviteCode";

/// Checks that the administrator alone may make codes with a method, whatever the body.
pub(crate) async fn only_the_administrator(pds: &TestPds, nsid: &str, body: &Value) {
    let alice = pds.account("alice").await;
    let refused = refusal(401, "AuthenticationRequired", "Authentication Required");
    let post = || pds.xrpc_post(nsid).json(body);
    seen::wrong_verb(pds.xrpc_get(nsid), "GET", "POST").await;
    let reply = post().send().await;
    assert_eq!(reply.headers["www-authenticate"], "Basic realm=\"admin\"");
    assert_eq!(post().error().await, refused);
    assert_eq!(post().bearer(&alice.access).error().await, refused);
    for credentials in [
        "Basic !!!",
        "Basic YWRtaW4=",
        "Basic YWRtaW46",
        "Basic YWRtaW46d3Jvbmc=",
        "Basic QWRtaW46YWRtaW4tb2YtdGhlLXRlc3Q=",
        "DPoP x",
    ] {
        assert_eq!(post().header("authorization", credentials).error().await, refused, "{credentials}");
    }
    assert_eq!(post().admin().header("authorization", "Basic x").error().await.0, 400);
    assert_eq!(pds.xrpc_post(nsid).json(&json!("nonsense")).error().await, refused, "the caller comes before the body");
}

/// Checks that a code has the form of the reference's.
pub(crate) fn check_form(code: &str) {
    let parts: Vec<&str> = code.split('-').collect();
    let is_half =
        |half: &str| half.len() == 5 && half.bytes().all(|byte| b"abcdefghijklmnopqrstuvwxyz234567".contains(&byte));
    assert!(parts.len() == 3 && parts[0] == "localhost" && is_half(parts[1]) && is_half(parts[2]), "{code}");
}

#[tokio::test]
async fn makes_a_code_that_works_as_often_as_told() {
    let pds = TestPds::options().invite_required().start().await;
    let answer = pds.xrpc_post(NSID).admin().json(&json!({ "useCount": 2 })).ok().await;
    assert_eq!(answer.as_object().unwrap().len(), 1);
    let code = answer["code"].as_str().unwrap();
    check_form(code);
    let sign_up = |name: &str| {
        let email = format!("{name}@mail.test");
        let body =
            json!({ "handle": format!("{name}.test"), "email": email, "password": "12345678", "inviteCode": code });
        pds.xrpc_post("com.atproto.server.createAccount").json(&body)
    };
    sign_up("alice").ok().await;
    sign_up("bob").ok().await;
    assert_eq!(sign_up("carol").error().await.1, "InvalidInviteCode");
    let for_account = json!({ "useCount": 1, "forAccount": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa" });
    let other = pds.xrpc_post(NSID).admin().json(&for_account).ok().await;
    assert_ne!(other["code"], code);
}

#[tokio::test]
async fn is_the_administrators_alone() {
    let pds = TestPds::start().await;
    only_the_administrator(&pds, NSID, &json!({ "useCount": 1 })).await;
}

#[tokio::test]
async fn without_a_password_nobody_is_the_administrator() {
    let pds = TestPds::options().config(|config| config.secrets.admin_password = None).start().await;
    for credentials in ["Basic YWRtaW46", "Basic YWRtaW46YWRtaW4tb2YtdGhlLXRlc3Q="] {
        let call = pds.xrpc_post(NSID).json(&json!({ "useCount": 1 })).header("authorization", credentials);
        assert_eq!(call.error().await, refusal(401, "AuthenticationRequired", "Authentication Required"));
    }
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let pds = TestPds::start().await;
    let uses = "useCount must be from 1 to 1000000";
    for (body, message) in [
        (json!({}), "Missing required key \"useCount\" at $"),
        (json!({ "useCount": "1" }), "Expected integer value type (got \"1\") at $.useCount"),
        (json!({ "useCount": 1.5 }), "Expected integer value type (got 1.5) at $.useCount"),
        (json!({ "useCount": 0 }), uses),
        (json!({ "useCount": -1 }), uses),
        (json!({ "useCount": 1_000_001 }), uses),
        (json!({ "useCount": (1_i64 << 53) - 1 }), uses),
        (json!({ "useCount": 1_i64 << 53 }), "Expected integer value type (got 9007199254740992) at $.useCount"),
        (json!({ "useCount": 1, "forAccount": "admin" }), "Invalid DID (got \"admin\") at $.forAccount"),
    ] {
        let call = pds.xrpc_post(NSID).admin().json(&body);
        assert_eq!(call.error().await, refusal(400, "InvalidRequest", message), "{body}");
    }
    pds.xrpc_post(NSID).admin().json(&json!({ "useCount": 1.0 })).ok().await;
}
