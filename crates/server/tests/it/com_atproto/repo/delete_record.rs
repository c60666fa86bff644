//! `com.atproto.repo.deleteRecord`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{DELETE, GET, POSTS, create_post, key_of, latest, only_the_owner_writes, text, write};
use crate::seen::refusal;

#[tokio::test]
async fn deletes_a_record_once_and_is_content_with_none() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let key = key_of(&create_post(&pds, &alice, "gone soon").await);
    let delete = || write(&pds, &alice, DELETE, json!({ "collection": POSTS, "rkey": key }));
    let deleted = delete().ok().await;
    assert_eq!((text(&deleted["commit"]["cid"]), text(&deleted["commit"]["rev"])), latest(&pds, &alice).await);
    let read = pds.xrpc_get(GET).param("repo", &alice.did).param("collection", POSTS).param("rkey", &key);
    assert_eq!(read.error().await.1, "RecordNotFound");
    let before = latest(&pds, &alice).await;
    assert_eq!(delete().ok().await, json!({}));
    assert_eq!(latest(&pds, &alice).await, before);
}

#[tokio::test]
async fn swaps_only_what_is_named() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let created = create_post(&pds, &alice, "x").await;
    let other = "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm";
    let delete = |field: &str, value: &str| {
        let mut body = json!({ "collection": POSTS, "rkey": key_of(&created) });
        body[field] = json!(value);
        write(&pds, &alice, DELETE, body)
    };
    let was = refusal(400, "InvalidSwap", &format!("Record was at {}", text(&created["cid"])));
    assert_eq!(delete("swapRecord", other).error().await, was);
    let was = refusal(400, "InvalidSwap", &format!("Commit was at {}", text(&created["commit"]["cid"])));
    assert_eq!(delete("swapCommit", other).error().await, was);
    delete("swapRecord", &text(&created["cid"])).ok().await;
    let was = refusal(400, "InvalidSwap", "Record was at null");
    assert_eq!(delete("swapRecord", &text(&created["cid"])).error().await, was);
}

#[tokio::test]
async fn only_its_owner_writes_to_a_repository() {
    only_the_owner_writes(DELETE, json!({ "collection": POSTS, "rkey": "a" })).await;
}
