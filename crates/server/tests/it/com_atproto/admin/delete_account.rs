//! `com.atproto.admin.deleteAccount`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::{
    deletion,
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.admin.deleteAccount";

#[tokio::test]
async fn the_operator_deletes_an_account_of_any_status() {
    for status in ["active", "deactivated", "taken down"] {
        let pds = TestPds::start().await;
        let alice = deletion::resident(&pds, "alice").await;
        match status {
            "deactivated" => seen::deactivate(&pds, &alice.did).await,
            "taken down" => seen::take_down(&pds, &alice.did).await,
            _ => {}
        }
        let reply = pds.xrpc_post(NSID).admin().json(&json!({ "did": alice.did })).send().await;
        assert_eq!(reply.status, 200, "{status}");
        if status == "active" {
            deletion::is_gone(&pds, &alice).await;
        }
    }
}

#[tokio::test]
async fn an_account_that_is_not_there_is_not_deleted() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let delete = |did: &str| pds.xrpc_post(NSID).admin().json(&json!({ "did": did }));
    let missing = refusal(400, "InvalidRequest", "account not found");
    assert_eq!(delete("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").error().await, missing);
    delete(alice.did.as_str()).send().await;
    let events = pds.events().await.len();
    assert_eq!(delete(alice.did.as_str()).error().await, missing);
    assert_eq!(pds.events().await.len(), events);
}

#[tokio::test]
async fn nobody_else_deletes_one() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "did": alice.did });
    let unauthenticated = refusal(401, "AuthenticationRequired", "Authentication Required");
    assert_eq!(pds.xrpc_post(NSID).json(&body).error().await, unauthenticated);
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).json(&body).error().await, unauthenticated);
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
