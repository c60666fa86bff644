//! `com.atproto.admin.disableInviteCodes`.

use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::{nobody_else, wrong_post};
use crate::seen::refusal;

const NSID: &str = "com.atproto.admin.disableInviteCodes";

#[tokio::test]
async fn codes_and_all_codes_of_accounts_are_closed() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let (one, other) = (pds.invite(1).await, pds.invite(1).await);
    let body = json!({ "codeCount": 2, "useCount": 1, "forAccounts": [alice.did] });
    pds.xrpc_post("com.atproto.server.createInviteCodes").admin().json(&body).ok().await;
    let body = json!({ "codes": [one, "no-such-code"], "accounts": [alice.did] });
    assert_eq!(pds.xrpc_post(NSID).admin().json(&body).send().await.status, 200);
    let list = pds.xrpc_get("com.atproto.admin.getInviteCodes").admin().ok().await;
    let open: Vec<&Value> = list["codes"].as_array().unwrap().iter().filter(|code| code["disabled"] == false).collect();
    assert_eq!(open.len(), 1);
    assert_eq!(open[0]["code"], other);
}

#[tokio::test]
async fn the_operators_own_are_closed_one_by_one_and_by_nobody_else() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    nobody_else(&pds, || pds.xrpc_post(NSID).json(&json!({ "codes": [] }))).await;
    wrong_post(&pds, NSID).await;
    let refused = pds.xrpc_post(NSID).admin().json(&json!({ "accounts": ["admin"] })).error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "cannot disable admin invite codes"));
    let many: Vec<String> = (0..1_001).map(|n| n.to_string()).collect();
    let refused = pds.xrpc_post(NSID).admin().json(&json!({ "codes": many })).error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "1000 codes and accounts at once at the most"));
}
