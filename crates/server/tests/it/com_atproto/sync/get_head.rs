//! `com.atproto.sync.getHead`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{
    NOBODY,
    get_repo::{refuses_malformed_requests, shown_with},
};
use crate::seen::refusal;

const NSID: &str = "com.atproto.sync.getHead";

#[tokio::test]
async fn tells_the_newest_commit() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let latest = pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", &alice.did).ok().await;
    assert_eq!(pds.xrpc_get(NSID).param("did", &alice.did).ok().await, json!({ "root": latest["cid"] }));
}

#[tokio::test]
async fn its_owner_and_the_operator_read_it_whatever_its_status() {
    let missing = refusal(400, "HeadNotFound", &format!("Could not find root for DID: {NOBODY}"));
    shown_with(NSID, missing, &[]).await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    refuses_malformed_requests(NSID).await;
}
