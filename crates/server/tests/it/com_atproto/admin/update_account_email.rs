//! `com.atproto.admin.updateAccountEmail`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{account_info, nobody_else, wrong_post};
use crate::seen::refusal;

const NSID: &str = "com.atproto.admin.updateAccountEmail";

#[tokio::test]
async fn the_account_has_another_address() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for (account, email) in [(alice.did.as_str(), "new@example.com"), ("alice.test", "newer@example.com")] {
        let body = json!({ "account": account, "email": email });
        assert_eq!(pds.xrpc_post(NSID).admin().json(&body).send().await.status, 200);
        let info = account_info(&pds, &alice).await;
        assert_eq!((&info["email"], info.get("emailConfirmedAt")), (&json!(email), None));
        let body = json!({ "identifier": email, "password": alice.password });
        pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
    }
}

#[tokio::test]
async fn refuses_others_and_addresses_that_can_not_be_had() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let body = |email: &str| json!({ "account": alice.did, "email": email });
    nobody_else(&pds, || pds.xrpc_post(NSID).json(&body("new@example.com"))).await;
    wrong_post(&pds, NSID).await;
    let taken = "This email address is already in use, please use a different email.";
    let unsupported = "This email address is not supported, please use a different email.";
    for (email, message) in [(bob.email.to_uppercase(), taken), ("nonsense".to_owned(), unsupported)] {
        let refused = pds.xrpc_post(NSID).admin().json(&body(&email)).error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", message));
    }
    let unknown = json!({ "account": "nobody.test", "email": "x@example.com" });
    let missing = refusal(404, "NotFound", "Account not found");
    assert_eq!(pds.xrpc_post(NSID).admin().json(&unknown).error().await, missing);
    assert_eq!(account_info(&pds, &alice).await["email"], alice.email);
}
