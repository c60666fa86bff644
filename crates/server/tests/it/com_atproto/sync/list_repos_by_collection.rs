//! `com.atproto.sync.listReposByCollection`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{NOTES, apply, delete, fill};
use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.sync.listReposByCollection";

#[tokio::test]
async fn lists_who_has_records_now() {
    let pds = TestPds::start().await;
    let mut dids = Vec::new();
    for name in ["alice", "bob", "carol", "dan", "eve"] {
        let actor = pds.account(name).await;
        match name {
            "alice" => {}
            "bob" => {
                fill(&pds, &actor, 1, 10).await;
                apply(&pds, &actor, &[delete("r0000")]).await;
            }
            _ => {
                fill(&pds, &actor, 2, 10).await;
                dids.push(actor.did);
            }
        }
    }
    dids.sort();
    let expected: Vec<_> = dids.iter().map(|did| json!({ "did": did })).collect();
    let list = || pds.xrpc_get(NSID).param("collection", NOTES);
    assert_eq!(list().ok().await, json!({ "repos": expected }));
    let page = list().param("limit", 2).ok().await;
    assert_eq!(page["repos"], json!(expected[..2]));
    let page = list().param("limit", 2).param("cursor", page["cursor"].as_str().unwrap()).ok().await;
    assert_eq!(page, json!({ "repos": expected[2..] }));

    seen::deactivate(&pds, &dids[0]).await;
    seen::take_down(&pds, &dids[2]).await;
    assert_eq!(list().ok().await, json!({ "repos": [expected[1]] }));
    assert_eq!(pds.xrpc_get(NSID).param("collection", "com.example.other").ok().await, json!({ "repos": [] }));
}

#[tokio::test]
async fn refuses_what_it_does_not_know() {
    let pds = TestPds::start().await;
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
    let list = || pds.xrpc_get(NSID).param("collection", NOTES);
    let refused = list().param("cursor", "x").error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "Malformed cursor"));
    for call in [pds.xrpc_get(NSID), pds.xrpc_get(NSID).param("collection", "note"), list().param("limit", 2001)] {
        let (status, name, _) = call.error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
    }
}
