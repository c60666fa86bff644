//! `com.atproto.sync.getBlocks`.

use allod_atproto::Cid;
use allod_testkit::{Actor, Call, TestPds};

use super::{
    File, NOBODY, fill,
    get_repo::{refuses_malformed_with, shown_with},
};
use crate::seen::refusal;

const NSID: &str = "com.atproto.sync.getBlocks";
/// The tree of every new repository.
const EMPTY_TREE: &str = "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm";

fn ask(pds: &TestPds, actor: &Actor, cids: &[Cid]) -> Call {
    cids.iter().fold(pds.xrpc_get(NSID).param("did", &actor.did), |call, cid| call.param("cids", cid))
}

#[tokio::test]
async fn gives_the_commit_nodes_and_records_in_the_order_asked_for() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice, 40, 3_000).await;
    let whole = File::of(&pds.xrpc_get("com.atproto.sync.getRepo").param("did", &alice.did).send().await);
    let mut cids: Vec<Cid> = whole.order.iter().rev().copied().collect();
    let file = File::of(&ask(&pds, &alice, &cids).send().await);
    assert_eq!(file.order, cids);
    assert_eq!(file.car().root(), whole.car().root());
    assert!(cids.iter().all(|cid| file.car().get(cid) == whole.car().get(cid)));
    // Asked for twice, given once.
    cids.truncate(2);
    let file = File::of(&ask(&pds, &alice, &[cids[0], cids[1], cids[0]]).send().await);
    assert_eq!(file.order, cids);
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    fill(&pds, &alice, 3, 10).await;
    let whole = File::of(&pds.xrpc_get("com.atproto.sync.getRepo").param("did", &alice.did).send().await);
    let (unknown, blob) = (Cid::for_cbor(b"unknown"), Cid::for_raw(b"blob"));
    let refused = ask(&pds, &alice, &[unknown, whole.order[0], blob]).error().await;
    assert_eq!(refused, refusal(400, "BlockNotFound", &format!("Could not find cids: {unknown},{blob}")));
    let refused = ask(&pds, &bob, &[whole.order[0]]).error().await;
    assert_eq!(refused, refusal(400, "BlockNotFound", &format!("Could not find cids: {}", whole.order[0])));
    // The root that alice's tree had before.
    let old = Cid::parse(EMPTY_TREE).unwrap();
    assert_eq!(ask(&pds, &alice, &[old]).error().await.1, "BlockNotFound");
}

#[tokio::test]
async fn so_many_and_no_more_are_asked_for() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let root = Cid::parse(EMPTY_TREE).unwrap();
    let cids = vec![root; allod_server::limits::QUERY_PARAMS_MAX];
    File::of(&ask(&pds, &alice, &cids[1..]).send().await);
    let refused = ask(&pds, &alice, &cids).error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "Too many query parameters (maximum 200)"));
    let (status, name, _) = pds.xrpc_get(NSID).param("did", &alice.did).error().await;
    assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
    let (status, name, _) = pds.xrpc_get(NSID).param("did", &alice.did).param("cids", "abc").error().await;
    assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
}

#[tokio::test]
async fn its_owner_and_the_operator_read_it_whatever_its_status() {
    let missing = refusal(400, "RepoNotFound", &format!("Could not find repo for DID: {NOBODY}"));
    shown_with(NSID, missing, &[("cids", EMPTY_TREE)]).await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    refuses_malformed_with(NSID, &[("cids", EMPTY_TREE)]).await;
}
