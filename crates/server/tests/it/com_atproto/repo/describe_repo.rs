//! `com.atproto.repo.describeRepo`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{CREATE, DELETE, NOBODY, POSTS, create_post, key_of, write};
use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.repo.describeRepo";

#[tokio::test]
async fn tells_whose_it_is_and_what_it_has() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let describe = || pds.xrpc_get(NSID).param("repo", &alice.handle);
    let described = describe().ok().await;
    assert_eq!((&described["handle"], &described["did"]), (&json!(alice.handle), &json!(alice.did)));
    assert_eq!((&described["handleIsCorrect"], &described["collections"]), (&json!(true), &json!([])));
    assert_eq!(described["didDoc"]["id"], json!(alice.did));
    let first = create_post(&pds, &alice, "x").await;
    create_post(&pds, &alice, "y").await;
    write(&pds, &alice, CREATE, json!({ "collection": "app.bsky.feed", "rkey": "a", "record": {} })).ok().await;
    assert_eq!(describe().ok().await["collections"], json!(["app.bsky.feed", POSTS]));
    write(&pds, &alice, DELETE, json!({ "collection": "app.bsky.feed", "rkey": "a" })).ok().await;
    write(&pds, &alice, DELETE, json!({ "collection": POSTS, "rkey": key_of(&first) })).ok().await;
    assert_eq!(describe().ok().await["collections"], json!([POSTS]));
}

#[tokio::test]
async fn tells_nothing_of_others() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let describe = |repo: &str| pds.xrpc_get(NSID).param("repo", repo);
    let expected = refusal(400, "InvalidRequest", &format!("Could not find repo: {NOBODY}"));
    assert_eq!(describe(NOBODY).error().await, expected);
    seen::deactivate(&pds, &alice.did).await;
    seen::take_down(&pds, &bob.did).await;
    assert_eq!(describe(alice.did.as_str()).error().await.1, "RepoDeactivated");
    assert_eq!(describe(bob.did.as_str()).error().await.1, "RepoTakendown");
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
}
