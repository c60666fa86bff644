//! `com.atproto.server.createInviteCodes`.

use std::collections::HashSet;

use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::create_invite_code::{check_form, only_the_administrator};
use crate::seen::refusal;

const NSID: &str = "com.atproto.server.createInviteCodes";
const ALICE: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
const BOB: &str = "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb";

async fn made(pds: &TestPds, body: &Value) -> Vec<(String, Vec<String>)> {
    let answer = pds.xrpc_post(NSID).admin().json(body).ok().await;
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let group =
        |group: &Value| (text(&group["account"]), group["codes"].as_array().unwrap().iter().map(text).collect());
    answer["codes"].as_array().unwrap().iter().map(group).collect()
}

#[tokio::test]
async fn makes_codes_for_each_account() {
    let pds = TestPds::options().invite_required().start().await;
    let groups = made(&pds, &json!({ "codeCount": 3, "useCount": 1, "forAccounts": [ALICE, BOB] })).await;
    let shape: Vec<_> = groups.iter().map(|(account, codes)| (account.as_str(), codes.len())).collect();
    assert_eq!(shape, [(ALICE, 3), (BOB, 3)]);
    let codes: HashSet<&String> = groups.iter().flat_map(|(_, codes)| codes).collect();
    assert_eq!(codes.len(), 6);
    for code in &codes {
        check_form(code);
    }
    for body in [json!({ "codeCount": 1, "useCount": 1 }), json!({ "codeCount": 1, "useCount": 1, "forAccounts": [] })]
    {
        let groups = made(&pds, &body).await;
        assert_eq!((groups.len(), groups[0].0.as_str(), groups[0].1.len()), (1, "admin", 1));
    }
    let code = &groups[1].1[2];
    let body = json!({ "handle": "alice.test", "email": "a@mail.test", "password": "12345678", "inviteCode": code });
    pds.xrpc_post("com.atproto.server.createAccount").json(&body).ok().await;
}

#[tokio::test]
async fn an_account_named_twice_gets_twice_as_many() {
    let pds = TestPds::start().await;
    let groups = made(&pds, &json!({ "codeCount": 2, "useCount": 1, "forAccounts": [ALICE, ALICE] })).await;
    let codes: Vec<&String> = groups.iter().flat_map(|(_, codes)| codes).collect();
    assert_eq!(codes.len(), 4);
    assert_eq!(codes.iter().collect::<HashSet<_>>().len(), 4, "no code is listed twice");
}

#[tokio::test]
async fn is_the_administrators_alone() {
    let pds = TestPds::start().await;
    only_the_administrator(&pds, NSID, &json!({ "codeCount": 1, "useCount": 1 })).await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let pds = TestPds::start().await;
    let uses = "useCount must be from 1 to 1000000";
    let count = "between 1 and 1000 codes can be made at once";
    let too_many: Vec<&str> = vec![ALICE; 1001];
    for (body, message) in [
        (json!({ "codeCount": 1 }), "Missing required key \"useCount\" at $"),
        (json!({ "codeCount": "x", "useCount": 1 }), "Expected integer value type (got \"x\") at $.codeCount"),
        (json!({ "codeCount": 1, "useCount": 0 }), uses),
        (json!({ "codeCount": 0, "useCount": 1 }), count),
        (json!({ "codeCount": -5, "useCount": 1 }), count),
        (json!({ "codeCount": 1001, "useCount": 1 }), count),
        (json!({ "codeCount": 501, "useCount": 1, "forAccounts": [ALICE, BOB] }), count),
        (json!({ "codeCount": (1_i64 << 53) - 1, "useCount": 1, "forAccounts": [ALICE, BOB] }), count),
        (json!({ "codeCount": 1, "useCount": 1, "forAccounts": too_many }), count),
        (json!({ "codeCount": 1, "useCount": 1, "forAccounts": ["x"] }), "Invalid DID (got \"x\") at $.forAccounts[0]"),
        (
            json!({ "codeCount": 1, "useCount": 1, "forAccounts": ALICE }),
            "Expected array value type (got \"did:plc:aaaaaaaaaaaaaaaaaaaaaaaa\") at $.forAccounts",
        ),
    ] {
        let call = pds.xrpc_post(NSID).admin().json(&body);
        assert_eq!(call.error().await, refusal(400, "InvalidRequest", message), "{body}");
    }
}
