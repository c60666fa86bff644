//! `com.atproto.server.checkAccountStatus`.

use allod_testkit::{Behaviour, TestPds};
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.checkAccountStatus";

#[tokio::test]
async fn counts_what_is_there() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let status = async || pds.xrpc_get(NSID).bearer(&alice.access).ok().await;
    let empty = status().await;
    for (field, expected) in [("activated", json!(true)), ("validDid", json!(true)), ("privateStateValues", json!(0))] {
        assert_eq!(empty[field], expected, "{field}");
    }
    let counts = |status: &serde_json::Value| {
        ["repoBlocks", "indexedRecords", "expectedBlobs", "importedBlobs"].map(|field| status[field].as_i64().unwrap())
    };
    assert_eq!(counts(&empty), [2, 0, 0, 0], "a commit and the tree's root");

    let upload = |bytes: &'static [u8]| {
        pds.xrpc_post("com.atproto.repo.uploadBlob").bearer(&alice.access).body("text/plain", bytes)
    };
    let blob = upload(b"one").ok().await["blob"].clone();
    upload(b"nobody refers to this").ok().await;
    for number in 0..200 {
        // Each record is there twice, which is one block.
        let mut record = json!({ "n": number / 2 });
        // Two records with one blob.
        if number < 2 {
            record["file"] = blob.clone();
        }
        let body = json!({ "repo": alice.did, "collection": "com.example.note", "rkey": format!("{number:05}"), "record": record });
        pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&body).ok().await;
    }
    let full = status().await;
    let exported = pds.xrpc_get("com.atproto.sync.getRepo").param("did", &alice.did).send().await.body;
    let car = allod_atproto::car::read(&exported, &allod_atproto::car::Limits::REPOSITORY).unwrap();
    assert_eq!(
        counts(&full),
        [i64::try_from(car.len()).unwrap(), 200, 1, 1],
        "what no record refers to is not counted"
    );
    let latest = pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", &alice.did).ok().await;
    assert_eq!((&full["repoCommit"], &full["repoRev"]), (&latest["cid"], &latest["rev"]));

    pds.plc().behave(Behaviour::Down).await;
    let unknown = status().await;
    assert_eq!((&unknown["validDid"], &unknown["activated"]), (&json!(false), &json!(true)));
}

#[tokio::test]
async fn tells_the_owner_alone() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(pds.xrpc_get(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
    let token = pds.app_password(&alice, "app", false).await;
    let app = pds.sign_in_with("alice", &token).await;
    assert_eq!(pds.xrpc_get(NSID).bearer(&app.access).ok().await["activated"], true);
    seen::deactivate(&pds, &alice.did).await;
    assert_eq!(pds.xrpc_get(NSID).bearer(&alice.access).ok().await["activated"], false);
}
