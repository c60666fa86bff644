//! `com.atproto.account.createInviteCode`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::{
    com_atproto::server::create_invite_code::{check_form, only_the_administrator},
    seen::refusal,
};

const NSID: &str = "com.atproto.account.createInviteCode";

#[tokio::test]
async fn makes_a_code() {
    let pds = TestPds::options().invite_required().start().await;
    let answer = pds.xrpc_post(NSID).admin().json(&json!({ "useCount": 1 })).ok().await;
    let code = answer["code"].as_str().unwrap();
    check_form(code);
    let body = json!({ "handle": "alice.test", "email": "a@mail.test", "password": "12345678", "inviteCode": code });
    pds.xrpc_post("com.atproto.account.create").json(&body).ok().await;
}

#[tokio::test]
async fn is_the_administrators_alone() {
    let pds = TestPds::start().await;
    only_the_administrator(&pds, NSID, &json!({ "useCount": 1 })).await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let pds = TestPds::start().await;
    for (body, message) in [
        (json!({}), "Missing required key \"useCount\" at $"),
        (json!({ "useCount": 0 }), "useCount must be from 1 to 1000000"),
    ] {
        let call = pds.xrpc_post(NSID).admin().json(&body);
        assert_eq!(call.error().await, refusal(400, "InvalidRequest", message), "{body}");
    }
}
