//! `com.atproto.temp.addReservedHandle`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::{
    com_atproto::admin::nobody_else,
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.temp.addReservedHandle";

#[tokio::test]
async fn nobody_gets_a_reserved_handle() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    for handle in ["famous", "other.test"] {
        pds.xrpc_post(NSID).admin().json(&json!({ "handle": handle })).ok().await;
    }
    for handle in ["famous.test", "other.test"] {
        let body = json!({ "handle": handle, "email": "x@example.com", "password": "a-good-password" });
        let refused = pds.xrpc_post("com.atproto.server.createAccount").json(&body).error().await;
        assert_eq!(refused, refusal(400, "HandleNotAvailable", &format!("Handle already taken: {handle}")));
    }
}

#[tokio::test]
async fn refuses_others_and_handles_that_somebody_has() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    nobody_else(&pds, || pds.xrpc_post(NSID).json(&json!({ "handle": "famous" }))).await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    let taken = refusal(400, "InvalidRequest", "Handle already taken: alice.test");
    assert_eq!(pds.xrpc_post(NSID).admin().json(&json!({ "handle": "alice" })).error().await, taken);
    for handle in ["", "a b", "-.test"] {
        let (status, ..) = pds.xrpc_post(NSID).admin().json(&json!({ "handle": handle })).error().await;
        assert_eq!(status, 400, "{handle}");
    }
}
