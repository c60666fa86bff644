//! `com.atproto.identity.getRecommendedDidCredentials`.

use allod_atproto::crypto::Curve;
use allod_testkit::TestPds;
use serde_json::json;

use crate::{
    elsewhere::key,
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.identity.getRecommendedDidCredentials";

#[tokio::test]
async fn advises_what_a_new_account_gets() {
    let recovery = key(Curve::K256, 90).did_key();
    let operators = recovery.clone();
    let pds =
        TestPds::options().config(move |config| config.identity.recovery_key = Some(operators.clone())).start().await;
    let alice = pds.account("alice").await;
    let advised = pds.xrpc_get(NSID).bearer(&alice.access).ok().await;
    let last = crate::elsewhere::directory(&pds).last_operation(&alice.did).await.unwrap().unwrap().to_json();
    for field in ["rotationKeys", "alsoKnownAs", "verificationMethods", "services"] {
        assert_eq!(advised[field], last[field], "{field}");
    }
    assert_eq!(advised["rotationKeys"], json!([recovery, pds.app().rotation_key.did_key()]));
}

#[tokio::test]
async fn advises_the_owner_alone() {
    let pds = TestPds::start().await;
    assert_eq!(pds.xrpc_get(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    assert_eq!(pds.xrpc_get(NSID).bearer("nonsense").error().await.1, "InvalidToken");
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
}
