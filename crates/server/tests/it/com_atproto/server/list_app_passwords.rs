//! `com.atproto.server.listAppPasswords`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.listAppPasswords";

#[tokio::test]
async fn lists_names_and_no_passwords() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let password = pds.app_password(&alice, "zeta", false).await;
    pds.advance(std::time::Duration::from_secs(1));
    pds.app_password(&alice, "alpha", true).await;
    pds.app_password(&bob, "his", false).await;
    let reply = pds.xrpc_get(NSID).bearer(&alice.access).send().await;
    assert!(!reply.text().contains(&password));
    let passwords = reply.json()["passwords"].clone();
    let names: Vec<_> = passwords.as_array().unwrap().iter().map(|p| (&p["name"], &p["privileged"])).collect();
    assert_eq!(names, [(&json!("zeta"), &json!(false)), (&json!("alpha"), &json!(true))]);
}

#[tokio::test]
async fn nobody_else_sees_them() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(pds.xrpc_get(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    let refused = pds.xrpc_get(NSID).bearer(&alice.refresh).error().await;
    assert_eq!(refused, refusal(400, "InvalidToken", "Token could not be verified"));
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
}
