//! `com.atproto.repo.applyWrites`.

use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::{APPLY, LIST, latest, only_the_owner_writes, text, write};
use crate::seen::refusal;

const NOTES: &str = "com.example.note";

fn create(key: &str, n: i64) -> Value {
    json!({ "$type": format!("{APPLY}#create"), "collection": NOTES, "rkey": key, "value": { "n": n } })
}

fn update(key: &str, n: i64) -> Value {
    json!({ "$type": format!("{APPLY}#update"), "collection": NOTES, "rkey": key, "value": { "n": n } })
}

fn delete(key: &str) -> Value {
    json!({ "$type": format!("{APPLY}#delete"), "collection": NOTES, "rkey": key })
}

#[tokio::test]
async fn carries_everything_out_in_one_commit() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let apply = |writes: Value| write(&pds, &alice, APPLY, json!({ "writes": writes }));
    apply(json!([create("a", 1), create("b", 2)])).ok().await;
    let events = pds.events().await.len();
    let done = apply(json!([update("a", 3), delete("b"), create("c", 4)])).ok().await;
    assert_eq!((text(&done["commit"]["cid"]), text(&done["commit"]["rev"])), latest(&pds, &alice).await);
    let kinds: Vec<String> = done["results"].as_array().unwrap().iter().map(|result| text(&result["$type"])).collect();
    assert_eq!(
        kinds,
        [format!("{APPLY}#updateResult"), format!("{APPLY}#deleteResult"), format!("{APPLY}#createResult")]
    );
    assert_eq!(pds.events().await.len(), events + 1);
    let list =
        pds.xrpc_get(LIST).param("repo", &alice.did).param("collection", NOTES).param("reverse", true).ok().await;
    let values: Vec<i64> =
        list["records"].as_array().unwrap().iter().map(|r| r["value"]["n"].as_i64().unwrap()).collect();
    assert_eq!(values, [3, 4]);
}

#[tokio::test]
async fn several_writes_to_one_record_count_as_one() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let apply = |writes: Value| write(&pds, &alice, APPLY, json!({ "writes": writes }));
    apply(json!([create("a", 1), update("a", 2), create("b", 1), delete("b")])).ok().await;
    apply(json!([delete("a"), create("a", 3), update("a", 4)])).ok().await;
    let list = pds.xrpc_get(LIST).param("repo", &alice.did).param("collection", NOTES).ok().await;
    let records = list["records"].as_array().unwrap();
    assert_eq!((records.len(), &records[0]["value"]["n"]), (1, &json!(4)));
}

#[tokio::test]
async fn does_all_or_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let apply = |writes: Value| write(&pds, &alice, APPLY, json!({ "writes": writes }));
    apply(json!([create("a", 1)])).ok().await;
    let before = latest(&pds, &alice).await;
    for (last, message) in [
        (create("a", 2), "There is a record at com.example.note/a already"),
        (update("z", 2), "There is no record at com.example.note/z"),
        (delete("z"), "There is no record at com.example.note/z"),
    ] {
        let refused = apply(json!([create("b", 1), last])).error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", message));
    }
    let too_many: Vec<Value> = (0..201).map(|n| create(&format!("k{n}"), n)).collect();
    assert_eq!(apply(json!(too_many)).error().await, refusal(400, "InvalidRequest", "Too many writes. Max: 200"));
    let (status, name, _) = apply(json!([{ "$type": "com.example.other" }])).error().await;
    assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
    assert_eq!(latest(&pds, &alice).await, before);
    apply(json!(too_many[..200])).ok().await;
}

#[tokio::test]
async fn nothing_makes_an_empty_commit_and_only_the_commit_named_is_swapped() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let before = latest(&pds, &alice).await;
    let empty = write(&pds, &alice, APPLY, json!({ "writes": [], "swapCommit": before.0 })).ok().await;
    assert_eq!((text(&empty["commit"]["cid"]), text(&empty["commit"]["rev"])), latest(&pds, &alice).await);
    let refused = write(&pds, &alice, APPLY, json!({ "writes": [], "swapCommit": before.0 })).error().await;
    assert_eq!(refused, refusal(400, "InvalidSwap", &format!("Commit was at {}", text(&empty["commit"]["cid"]))));
}

#[tokio::test]
async fn only_its_owner_writes_to_a_repository() {
    only_the_owner_writes(APPLY, json!({ "writes": [create("a", 1)] })).await;
}
