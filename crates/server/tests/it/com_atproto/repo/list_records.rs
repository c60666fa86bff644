//! `com.atproto.repo.listRecords`.

use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::{APPLY, LIST, NOBODY, text, write};
use crate::seen::{self, refusal};

fn create(collection: &str, key: &str) -> Value {
    json!({ "$type": format!("{APPLY}#create"), "collection": collection, "rkey": key, "value": { "key": key } })
}

#[tokio::test]
async fn pages_through_one_collection_either_way() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    // Names that sort around the collection's, and keys that need no TID.
    let mut writes: Vec<Value> = (0..7).map(|n| create("com.example.note", &format!("k{n}"))).collect();
    writes.extend([
        create("com.example.note.more", "x"),
        create("com.example.note-s.x", "x"),
        create("com.example.not", "z"),
    ]);
    write(&pds, &alice, APPLY, json!({ "writes": writes })).ok().await;
    for reverse in [false, true] {
        let (mut keys, mut cursor, mut pages) = (Vec::new(), None, 0);
        loop {
            let mut call = pds.xrpc_get(LIST).param("repo", &alice.did).param("collection", "com.example.note");
            call = call.param("limit", 3).param("reverse", reverse);
            if let Some(cursor) = &cursor {
                call = call.param("cursor", cursor);
            }
            let page = call.ok().await;
            keys.extend(page["records"].as_array().unwrap().iter().map(|record| text(&record["value"]["key"])));
            pages += 1;
            match page.get("cursor") {
                Some(next) => cursor = Some(text(next)),
                None => break,
            }
        }
        let mut expected: Vec<String> = (0..7).map(|n| format!("k{n}")).collect();
        if !reverse {
            expected.reverse();
        }
        assert_eq!((keys, pages), (expected, 3));
    }
}

#[tokio::test]
async fn refuses_unknown_repositories_and_wrong_limits() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let list = |repo: &str| pds.xrpc_get(LIST).param("repo", repo).param("collection", "com.example.note");
    assert_eq!(list(alice.handle.as_str()).ok().await, json!({ "records": [] }));
    for repo in [NOBODY, "nobody.test"] {
        let expected = refusal(400, "InvalidRequest", &format!("Could not find repo: {repo}"));
        assert_eq!(list(repo).error().await, expected);
    }
    for limit in ["0", "101", "x"] {
        assert_eq!(list(alice.did.as_str()).param("limit", limit).error().await.0, 400);
    }
    seen::deactivate(&pds, &alice.did).await;
    let expected = refusal(400, "RepoDeactivated", &format!("Repo has been deactivated: {}", alice.did));
    assert_eq!(list(alice.did.as_str()).error().await, expected);
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(list(alice.did.as_str()).error().await.1, "RepoTakendown");
    seen::wrong_verb(pds.xrpc_post(LIST), "POST", "GET").await;
}
