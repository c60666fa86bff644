//! `com.atproto.sync.listRepos`.

use std::time::Duration;

use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::fill;
use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.sync.listRepos";

#[tokio::test]
async fn lists_everybody_with_their_newest_commit() {
    let pds = TestPds::start().await;
    let (alice, bob, carol) = (pds.account("alice").await, pds.account("bob").await, pds.account("carol").await);
    fill(&pds, &bob, 3, 10).await;
    let latest = async |did| pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", did).ok().await;
    let mut expected = Vec::new();
    for did in [&alice.did, &bob.did, &carol.did] {
        let latest = latest(did).await;
        expected.push(json!({ "did": did, "head": latest["cid"], "rev": latest["rev"], "active": true }));
    }
    let listed = async || {
        let answer = pds.xrpc_get(NSID).ok().await;
        assert_eq!(answer.get("cursor"), None);
        let mut repos = answer["repos"].as_array().unwrap().clone();
        repos.sort_by_key(|repo| expected.iter().position(|expected| expected["did"] == repo["did"]));
        repos
    };
    assert_eq!(listed().await, expected);
    seen::deactivate(&pds, &alice.did).await;
    seen::take_down(&pds, &carol.did).await;
    let repos = listed().await;
    let status: Vec<(&Value, Option<&Value>)> =
        repos.iter().map(|repo| (&repo["active"], repo.get("status"))).collect();
    let (no, yes) = (json!(false), json!(true));
    assert_eq!(status, [(&no, Some(&json!("deactivated"))), (&yes, None), (&no, Some(&json!("takendown")))]);
}

#[tokio::test]
async fn pages_from_the_oldest_to_the_newest() {
    let pds = TestPds::start().await;
    let mut expected = Vec::new();
    // Some of the same moment.
    for name in ["eve", "dan", "carol", "bob", "alice"] {
        expected.push(json!(pds.account(name).await.did));
        if name != "dan" {
            pds.advance(Duration::from_secs(1));
        }
    }
    let (mut found, mut cursor) = (Vec::new(), None::<String>);
    loop {
        let call = pds.xrpc_get(NSID).param("limit", 2);
        let call = if let Some(cursor) = &cursor { call.param("cursor", cursor) } else { call };
        let page = call.ok().await;
        let repos = page["repos"].as_array().unwrap();
        assert!(repos.len() <= 2);
        found.extend(repos.iter().map(|repo| repo["did"].clone()));
        match page.get("cursor") {
            Some(next) => cursor = next.as_str().map(str::to_owned),
            None => break,
        }
    }
    assert_eq!(found.len(), 5);
    found[1..3].sort_by_key(Value::to_string);
    expected[1..3].sort_by_key(Value::to_string);
    assert_eq!(found, expected);
}

#[tokio::test]
async fn refuses_what_it_does_not_know() {
    let pds = TestPds::start().await;
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
    for cursor in
        ["", "x", "1::", "::did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "1::alice.test", "99999999999999999999::did:plc:a"]
    {
        let refused = pds.xrpc_get(NSID).param("cursor", cursor).error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", "Malformed cursor"), "{cursor}");
    }
    for limit in ["0", "1001", "x"] {
        let (status, name, _) = pds.xrpc_get(NSID).param("limit", limit).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{limit}");
    }
}
