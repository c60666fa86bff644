//! `com.atproto.repo.getRecord`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{CREATE, GET, NOBODY, POSTS, create_post, key_of, write};
use crate::seen::{self, refusal};

#[tokio::test]
async fn shows_the_record_as_it_is_now() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let record = json!({
        "$type": "com.example.note", "link": {"$link": "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm"},
        "bytes": {"$bytes": "AQID"}, "text": "\"\\\u{0}\u{1f600}\n", "n": -9_007_199_254_740_991_i64, "a": [null, true, {}]
    });
    let created = write(&pds, &alice, CREATE, json!({ "collection": "com.example.note", "record": record })).ok().await;
    let get = |repo: &str, cid: Option<&str>| {
        let call = pds.xrpc_get(GET).param("repo", repo).param("collection", "com.example.note");
        let call = call.param("rkey", key_of(&created));
        if let Some(cid) = cid { call.param("cid", cid) } else { call }
    };
    assert_eq!(get(alice.handle.as_str(), None).ok().await["value"], record);
    get(alice.did.as_str(), created["cid"].as_str()).ok().await;
    let other = "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm";
    assert_eq!(get(alice.did.as_str(), Some(other)).error().await.1, "RecordNotFound");
}

#[tokio::test]
async fn shows_nothing_that_is_not_there_or_not_to_be_seen() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let key = key_of(&create_post(&pds, &alice, "x").await);
    let get =
        |repo: &str, key: &str| pds.xrpc_get(GET).param("repo", repo).param("collection", POSTS).param("rkey", key);
    for (repo, key) in [(alice.did.as_str(), "nothing"), (NOBODY, "nothing"), ("nobody.test", "nothing")] {
        let message = format!("Could not locate record: at://{repo}/{POSTS}/{key}");
        assert_eq!(get(repo, key).error().await, refusal(400, "RecordNotFound", &message));
    }
    seen::deactivate(&pds, &alice.did).await;
    let deactivated = refusal(400, "RepoDeactivated", &format!("Repo has been deactivated: {}", alice.did));
    assert_eq!(get(alice.did.as_str(), &key).error().await, deactivated);
    assert_eq!(get(alice.handle.as_str(), "nothing").error().await, deactivated);
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(get(alice.did.as_str(), &key).error().await.1, "RepoTakendown");
    let (status, name, _) = get("not a repo", &key).error().await;
    assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
    seen::wrong_verb(pds.xrpc_post(GET), "POST", "GET").await;
}
