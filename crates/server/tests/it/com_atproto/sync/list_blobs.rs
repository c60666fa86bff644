//! `com.atproto.sync.listBlobs`.

use allod_atproto::{Cid, Tid};
use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::get_repo::{refuses_malformed_requests, shown_as_its_status_says};
use crate::blobs::{dereference, refer, uploaded};

const NSID: &str = "com.atproto.sync.listBlobs";

fn texts(cids: &[Cid]) -> Value {
    cids.iter().map(ToString::to_string).collect()
}

#[tokio::test]
async fn lists_what_records_refer_to() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let list = || pds.xrpc_get(NSID).param("did", &alice.did);
    assert_eq!(list().ok().await, json!({ "cids": [] }));
    let mut cids = Vec::new();
    for content in ["one", "two", "three", "four"] {
        cids.push(uploaded(&pds, &alice, content.as_bytes()).await);
    }
    assert_eq!(list().ok().await, json!({ "cids": [] }), "no record refers to them yet");
    let newest = cids.pop().unwrap();
    refer(&pds, &alice.did, "a", 10, &cids).await;
    refer(&pds, &alice.did, "b", 20, &cids[..1]).await;
    refer(&pds, &alice.did, "c", 30, &[newest]).await;
    let mut all = cids.clone();
    all.push(newest);
    all.sort();
    assert_eq!(list().ok().await, json!({ "cids": texts(&all) }));

    let first = list().param("limit", 3).ok().await;
    assert_eq!(first["cids"], texts(&all[..3]));
    let cursor = first["cursor"].as_str().unwrap();
    assert_eq!(list().param("limit", 3).param("cursor", cursor).ok().await, json!({ "cids": texts(&all[3..]) }));

    let mut later = vec![cids[0], newest];
    later.sort();
    for (since, expected) in [(0, &all[..]), (9, &all), (10, &later), (19, &later), (20, &[newest]), (30, &[])] {
        let since = Tid::from_u64(since);
        assert_eq!(list().param("since", since).ok().await["cids"], texts(expected), "{since}");
    }
    dereference(&pds, &alice.did, "b").await;
    dereference(&pds, &alice.did, "c").await;
    cids.sort();
    assert_eq!(list().ok().await, json!({ "cids": texts(&cids) }));
}

#[tokio::test]
async fn its_owner_and_the_operator_read_it_whatever_its_status() {
    shown_as_its_status_says(NSID).await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    refuses_malformed_requests(NSID).await;
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for (name, value) in [("limit", "0"), ("limit", "1001"), ("since", "x"), ("cursor", "x"), ("cursor", "")] {
        let (status, name, _) = pds.xrpc_get(NSID).param("did", &alice.did).param(name, value).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{value}");
    }
}
