//! `com.atproto.account.requestPasswordReset`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::seen;

const NSID: &str = "com.atproto.account.requestPasswordReset";

#[tokio::test]
async fn mails_the_code_that_its_successor_mails() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for email in [alice.email.as_str(), "nobody@mail.test"] {
        assert_eq!(pds.xrpc_post(NSID).json(&json!({ "email": email })).send().await.status, 200);
    }
    let code = pds.code_mailed_to(&alice.email).await;
    let body = json!({ "token": code, "password": "another password" });
    assert_eq!(pds.xrpc_post("com.atproto.server.resetPassword").json(&body).send().await.status, 200);
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
