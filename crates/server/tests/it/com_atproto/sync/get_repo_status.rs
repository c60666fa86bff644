//! `com.atproto.sync.getRepoStatus`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.sync.getRepoStatus";

#[tokio::test]
async fn tells_anybody_whatever_it_is() {
    let pds = TestPds::start().await;
    let (alice, bob, carol) = (pds.account("alice").await, pds.account("bob").await, pds.account("carol").await);
    seen::deactivate(&pds, &bob.did).await;
    seen::take_down(&pds, &carol.did).await;
    let status = async |did| pds.xrpc_get(NSID).param("did", did).ok().await;
    let latest = pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", &alice.did).ok().await;
    assert_eq!(status(&alice.did).await, json!({ "did": alice.did, "active": true, "rev": latest["rev"] }));
    assert_eq!(status(&bob.did).await, json!({ "did": bob.did, "active": false, "status": "deactivated" }));
    assert_eq!(status(&carol.did).await, json!({ "did": carol.did, "active": false, "status": "takendown" }));
    pds.xrpc_get(NSID).param("did", &alice.did).bearer("nonsense").ok().await;
}

#[tokio::test]
async fn a_taken_down_account_is_that_also_while_deactivated() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::deactivate(&pds, &alice.did).await;
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(pds.xrpc_get(NSID).param("did", &alice.did).ok().await["status"], "takendown");
}

#[tokio::test]
async fn refuses_what_it_does_not_know() {
    let pds = TestPds::start().await;
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
    let nobody = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    let missing = refusal(400, "RepoNotFound", &format!("Could not find repo for DID: {nobody}"));
    assert_eq!(pds.xrpc_get(NSID).param("did", nobody).error().await, missing);
    for did in ["", "alice.test"] {
        let (status, name, _) = pds.xrpc_get(NSID).param("did", did).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
    }
}
