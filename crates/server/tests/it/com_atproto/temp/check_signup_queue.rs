//! `com.atproto.temp.checkSignupQueue`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.temp.checkSignupQueue";

#[tokio::test]
async fn nobody_waits() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(pds.xrpc_get(NSID).bearer(&alice.access).ok().await, json!({ "activated": true }));
    let missing = refusal(401, "AuthMissing", "Authentication Required");
    assert_eq!(pds.xrpc_get(NSID).error().await, missing);
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
}
