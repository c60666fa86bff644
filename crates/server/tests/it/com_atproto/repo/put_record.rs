//! `com.atproto.repo.putRecord`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{PUT, latest, only_the_owner_writes, text, write};
use crate::seen::refusal;

const NOTES: &str = "com.example.note";

#[tokio::test]
async fn writes_a_record_new_or_not_and_the_same_one_not_again() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let put = |n: i64| write(&pds, &alice, PUT, json!({ "collection": NOTES, "rkey": "a", "record": { "n": n } }));
    let created = put(1).ok().await;
    assert_eq!((text(&created["commit"]["cid"]), text(&created["commit"]["rev"])), latest(&pds, &alice).await);
    let updated = put(2).ok().await;
    assert_ne!(created["cid"], updated["cid"]);
    let before = latest(&pds, &alice).await;
    let again = put(2).ok().await;
    assert_eq!((&again["uri"], &again["cid"], again.get("commit")), (&updated["uri"], &updated["cid"], None));
    assert_eq!(latest(&pds, &alice).await, before);
}

#[tokio::test]
async fn swaps_only_the_record_named() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let put = |n: i64, swap: serde_json::Value| {
        let body = json!({ "collection": NOTES, "rkey": "a", "record": { "n": n }, "swapRecord": swap });
        write(&pds, &alice, PUT, body)
    };
    let first = put(1, json!(null)).ok().await;
    let was = refusal(400, "InvalidSwap", &format!("Record was at {}", text(&first["cid"])));
    assert_eq!(put(2, json!(null)).error().await, was);
    let other = "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm";
    assert_eq!(put(2, json!(other)).error().await, was);
    put(2, first["cid"].clone()).ok().await;
    let body = json!({ "collection": NOTES, "rkey": "b", "record": {}, "swapRecord": other });
    let absent = write(&pds, &alice, PUT, body).error().await;
    assert_eq!(absent, refusal(400, "InvalidSwap", "Record was at null"));
}

#[tokio::test]
async fn only_its_owner_writes_to_a_repository() {
    only_the_owner_writes(PUT, json!({ "collection": NOTES, "rkey": "a", "record": {} })).await;
}
