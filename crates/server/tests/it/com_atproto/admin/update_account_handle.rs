//! `com.atproto.admin.updateAccountHandle`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.admin.updateAccountHandle";

#[tokio::test]
async fn the_operator_gives_handles_also_reserved_ones() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let update = |did: &allod_atproto::Did, handle: &str| {
        pds.xrpc_post(NSID).admin().json(&json!({ "did": did, "handle": handle }))
    };
    assert_eq!(update(&alice.did, "admin.test").send().await.status.as_u16(), 200);
    assert_eq!(seen::handles_told(&pds, &alice.did).await, ["alice.test", "admin.test"]);
    assert_eq!(pds.plc().document(alice.did.as_str()).await.unwrap()["alsoKnownAs"], json!(["at://admin.test"]));
    let taken = refusal(400, "HandleNotAvailable", "Handle already taken: admin.test");
    assert_eq!(update(&bob.did, "admin.test").error().await, taken);
    assert_eq!(update(&bob.did, "al.test").error().await, refusal(400, "InvalidHandle", "Handle too short"));
    let unproven = refusal(400, "InvalidRequest", "External handle did not resolve to DID");
    assert_eq!(update(&bob.did, "bob.example.com").error().await, unproven);
    let nobody = allod_atproto::Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    assert_eq!(update(&nobody, "nobody.test").error().await, refusal(400, "InvalidRequest", "Account not found"));
}

#[tokio::test]
async fn the_operator_alone_does() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "did": alice.did, "handle": "liz.test" });
    assert_eq!(pds.xrpc_post(NSID).json(&body).error().await.0, 401);
    assert_ne!(pds.xrpc_post(NSID).bearer(&alice.access).json(&body).send().await.status.as_u16(), 200);
    assert_eq!(
        pds.xrpc_post(NSID).admin().json(&json!({ "did": alice.did, "handle": "no handle" })).error().await.0,
        400
    );
    seen::wrong_verb(pds.xrpc_get(NSID).admin(), "GET", "POST").await;
    assert_eq!(seen::handles_told(&pds, &alice.did).await, ["alice.test"]);
}
