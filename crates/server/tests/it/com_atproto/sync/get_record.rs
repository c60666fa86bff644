//! `com.atproto.sync.getRecord`.

use allod_atproto::{
    Cid, cbor,
    repo::{PartialTree, Tree},
};
use allod_testkit::{Actor, TestPds};
use serde_json::json;

use super::{
    File, NOBODY, NOTES, apply, fill,
    get_repo::{refuses_malformed_with, shown_with},
    update,
};
use crate::seen::refusal;

const NSID: &str = "com.atproto.sync.getRecord";
const PARAMS: [(&str, &str); 2] = [("collection", NOTES), ("rkey", "r0000")];

async fn proof(pds: &TestPds, actor: &Actor, key: &str) -> File {
    let call = pds.xrpc_get(NSID).param("did", &actor.did).param("collection", NOTES).param("rkey", key);
    File::of(&call.send().await)
}

#[tokio::test]
async fn proves_what_is_there_and_what_is_not() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice, 300, 10).await;
    let whole = File::of(&pds.xrpc_get("com.atproto.sync.getRepo").param("did", &alice.did).send().await);
    let car = whole.car();
    let head = whole.commit(&pds, &alice.did).await;
    let tree = Tree::from_blocks(&head.commit().data, |cid| car.get(cid)).unwrap();
    for (key, is_there) in
        [("r0000", true), ("r0150", true), ("r0299", true), ("a", false), ("r0150x", false), ("z", false)]
    {
        let file = proof(&pds, &alice, key).await;
        let commit = file.commit(&pds, &alice.did).await;
        assert_eq!(commit.cid(), head.cid());
        let path = format!("{NOTES}/{key}");
        let car = file.car();
        let partial = PartialTree::from_blocks(&commit.commit().data, |cid| car.get(cid)).unwrap();
        // Fails with a missing node unless the file proves it.
        let found: Option<Cid> = partial.get(&path).unwrap();
        assert_eq!((found, found.is_some()), (tree.get(&path), is_there), "{key}");
        let nodes = tree.path(&path).into_iter().map(|(cid, _)| cid);
        assert_eq!(file.order, std::iter::once(commit.cid()).chain(nodes).chain(found).collect::<Vec<_>>(), "{key}");
        if let Some(record) = found {
            let record = cbor::decode(car.get(&record).unwrap()).unwrap();
            assert_eq!(record.get("n").unwrap().as_integer(), key.trim_start_matches('r').parse().ok(), "{key}");
        }
    }
}

#[tokio::test]
async fn proves_that_an_empty_repository_has_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let file = proof(&pds, &alice, "a").await;
    assert_eq!(file.order, [file.commit(&pds, &alice.did).await.cid(), Tree::empty().root()]);
}

#[tokio::test]
async fn is_of_one_commit_while_the_record_is_written() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice, 20, 10).await;
    let writes = async {
        for n in 0..30 {
            apply(&pds, &alice, &[update("r0007", &json!({ "n": 1000 + n }))]).await;
        }
    };
    let reads = async {
        for _ in 0..60 {
            let file = proof(&pds, &alice, "r0007").await;
            let commit = file.commit(&pds, &alice.did).await;
            let car = file.car();
            let partial = PartialTree::from_blocks(&commit.commit().data, |cid| car.get(cid)).unwrap();
            let record = partial.get("com.example.note/r0007").unwrap().unwrap();
            assert!(car.get(&record).is_some());
        }
    };
    futures_util::future::join(writes, reads).await;
}

#[tokio::test]
async fn its_owner_and_the_operator_read_it_whatever_its_status() {
    let missing = refusal(400, "RepoNotFound", &format!("Could not find repo for DID: {NOBODY}"));
    shown_with(NSID, missing, &PARAMS).await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    refuses_malformed_with(NSID, &PARAMS).await;
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for (collection, key) in [("note", "a"), (NOTES, ".."), (NOTES, "a/b"), (NOTES, "")] {
        let call = pds.xrpc_get(NSID).param("did", &alice.did).param("collection", collection).param("rkey", key);
        let (status, name, _) = call.error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{collection}/{key}");
    }
}
