//! `com.atproto.repo.listMissingBlobs`.

use allod_atproto::Cid;
use allod_testkit::TestPds;
use serde_json::json;

use crate::{
    blobs::{refer_missing, uploaded},
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.repo.listMissingBlobs";

#[tokio::test]
async fn tells_what_is_still_to_be_uploaded() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let list = || pds.xrpc_get(NSID).bearer(&alice.access);
    assert_eq!(list().ok().await, json!({ "blobs": [] }));
    let contents = ["one", "two", "three", "four", "five"];
    let mut cids: Vec<Cid> = contents.iter().map(|content| Cid::for_raw(content.as_bytes())).collect();
    refer_missing(&pds, &alice.did, "b", &cids[1..]).await;
    refer_missing(&pds, &alice.did, "a", &cids).await;
    uploaded(&pds, &alice, b"two").await;
    cids.remove(1);
    cids.sort();
    let uri = format!("at://{}/app.bsky.feed.post/a", alice.did);
    let expected: Vec<_> =
        cids.iter().map(|cid| json!({ "cid": cid.to_string(), "recordUri": uri.as_str() })).collect();
    assert_eq!(list().ok().await, json!({ "blobs": expected }));

    let first = list().param("limit", 3).ok().await;
    assert_eq!(first["blobs"], json!(expected[..3]));
    let cursor = first["cursor"].as_str().unwrap();
    assert_eq!(list().param("limit", 3).param("cursor", cursor).ok().await, json!({ "blobs": expected[3..] }));

    seen::deactivate(&pds, &alice.did).await;
    assert_eq!(list().ok().await, json!({ "blobs": expected }), "also of an account that moves in");
    for content in contents {
        uploaded(&pds, &alice, content.as_bytes()).await;
    }
    assert_eq!(list().ok().await, json!({ "blobs": [] }));
}

#[tokio::test]
async fn nobody_sees_what_another_misses() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    refer_missing(&pds, &alice.did, "a", &[Cid::for_raw(b"one")]).await;
    uploaded(&pds, &bob, b"one").await;
    assert_eq!(pds.xrpc_get(NSID).bearer(&bob.access).ok().await, json!({ "blobs": [] }));
    let missing = pds.xrpc_get(NSID).bearer(&alice.access).ok().await;
    assert_eq!(missing["blobs"].as_array().unwrap().len(), 1, "another account's blob does not count");
}

#[tokio::test]
async fn refuses_strangers_and_malformed_requests() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
    let refused = pds.xrpc_get(NSID).error().await;
    assert_eq!(refused, refusal(401, "AuthMissing", "Authentication Required"));
    for token in ["nonsense", alice.refresh.as_str()] {
        let refused = pds.xrpc_get(NSID).bearer(token).error().await;
        assert_eq!(refused, refusal(400, "InvalidToken", "Token could not be verified"));
    }
    let refused = pds.xrpc_get(NSID).admin().error().await;
    assert_eq!(refused, refusal(400, "InvalidToken", "Unexpected authorization type"));
    for (name, value) in [("limit", "0"), ("limit", "1001"), ("limit", "x"), ("cursor", "x"), ("cursor", "")] {
        let (status, name, _) = pds.xrpc_get(NSID).bearer(&alice.access).param(name, value).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{value}");
    }
}
