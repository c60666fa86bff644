//! `com.atproto.sync.getRepo`.

mod history;
mod meanwhile;

use allod_atproto::repo::{Step, Tree};
use allod_testkit::{Call, TestPds};

use super::{File, NOBODY, fill};
use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.sync.getRepo";

#[tokio::test]
async fn an_empty_repository_is_a_commit_and_a_node() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let file = File::of(&pds.xrpc_get(NSID).param("did", &alice.did).send().await);
    let commit = file.commit(&pds, &alice.did).await;
    assert_eq!(commit.commit().data, Tree::empty().root());
    assert_eq!(file.order, [commit.cid(), Tree::empty().root()]);

    let latest = pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", &alice.did).ok().await;
    assert_eq!(
        (latest["cid"].as_str(), latest["rev"].as_str()),
        (Some(commit.cid().to_string().as_str()), Some(commit.commit().rev.as_str()))
    );
}

#[tokio::test]
async fn comes_in_the_order_of_the_tree_in_pieces() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice, 400, 2_000).await;
    let reply = pds.xrpc_get(NSID).param("did", &alice.did).send().await;
    assert!(!reply.headers.contains_key("content-length"), "a long file is not held to be measured");
    let file = File::of(&reply);
    let commit = file.commit(&pds, &alice.did).await;
    let car = file.car();
    let tree = Tree::from_blocks(&commit.commit().data, |cid| car.get(cid)).unwrap();
    assert_eq!(tree.len(), 400);
    let steps = tree.walk().map(|step| match step {
        Step::Node(node) => node.cid(),
        Step::Entry { value, .. } => value,
    });
    assert_eq!(file.order, std::iter::once(commit.cid()).chain(steps).collect::<Vec<_>>());

    let head = pds.client().head(format!("{}/xrpc/{NSID}?did={}", pds.url(), alice.did)).send().await.unwrap();
    assert_eq!(
        (head.status().as_u16(), head.headers()["content-type"].as_bytes()),
        (200, &b"application/vnd.ipld.car"[..])
    );
}

#[tokio::test]
async fn a_revision_that_is_none_is_refused() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let wrong = pds.xrpc_get(NSID).param("did", &alice.did).param("since", "yesterday").error().await;
    assert_eq!((wrong.0, wrong.1.as_str()), (400, "InvalidRequest"));
}

/// Checks who may read what of whom, for a method that shows a repository.
pub(super) async fn shown_as_its_status_says(nsid: &str) {
    let missing = refusal(400, "RepoNotFound", &format!("Could not find repo for DID: {NOBODY}"));
    shown_with(nsid, missing, &[]).await;
}

/// As [`shown_as_its_status_says`], with further parameters and what is said when there is no repository.
pub(super) async fn shown_with(nsid: &str, missing: seen::Refusal, params: &[(&str, &str)]) {
    let pds = TestPds::start().await;
    let (alice, bob, carol) = (pds.account("alice").await, pds.account("bob").await, pds.account("carol").await);
    let read = |did: &str| {
        let call = pds.xrpc_get(nsid).param("did", did);
        params.iter().fold(call, |call, (name, value)| call.param(name, value))
    };
    assert_eq!(read(NOBODY).error().await, missing);
    assert_eq!(read(NOBODY).admin().error().await, missing);

    seen::deactivate(&pds, &alice.did).await;
    seen::take_down(&pds, &bob.did).await;
    let bob = seen::signed_in_after_takedown(&pds, bob).await;
    for (owner, name, text) in
        [(&alice, "RepoDeactivated", "Repo has been deactivated"), (&bob, "RepoTakendown", "Repo has been takendown")]
    {
        let expected = refusal(400, name, &format!("{text}: {}", owner.did));
        assert_eq!(read(owner.did.as_str()).error().await, expected);
        assert_eq!(read(owner.did.as_str()).bearer(&carol.access).error().await, expected);
        assert_eq!(read(owner.did.as_str()).bearer(&owner.access).send().await.status.as_u16(), 200);
        assert_eq!(read(owner.did.as_str()).admin().send().await.status.as_u16(), 200);
    }
}

/// Checks the framework's refusals of a method that shows a repository.
pub(super) async fn refuses_malformed_requests(nsid: &str) {
    refuses_malformed_with(nsid, &[]).await;
}

/// As [`refuses_malformed_requests`], with further parameters.
pub(super) async fn refuses_malformed_with(nsid: &str, more: &[(&str, &str)]) {
    let with = |call: Call| more.iter().fold(call, |call, (name, value)| call.param(name, value));
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::wrong_verb(pds.xrpc_post(nsid), "POST", "GET").await;
    let params = format!("Invalid {nsid} params");
    for did in [None, Some(""), Some("alice.test"), Some("did:plc:"), Some("x\u{0}")] {
        let call = with(pds.xrpc_get(nsid));
        let call = if let Some(did) = did { call.param("did", did) } else { call };
        let (status, name, message) = call.error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{did:?}");
        assert!(message.starts_with(&params), "{message}");
    }
    let read = || with(pds.xrpc_get(nsid).param("did", &alice.did));
    let not_ours = refusal(400, "InvalidToken", "Token could not be verified");
    assert_eq!(read().bearer("nonsense").error().await, not_ours);
    assert_eq!(read().bearer(&alice.refresh).error().await, not_ours);
    let wrong_password = read().header("authorization", "Basic YWRtaW46d3Jvbmc=").error().await;
    assert_eq!(wrong_password, refusal(401, "AuthenticationRequired", "Authentication Required"));
    let twice = read().bearer(&alice.access).header("authorization", "Bearer x").error().await;
    assert_eq!(twice, refusal(400, "InvalidRequest", "More than one authorization header"));
    let other = read().header("authorization", "DPoP x").error().await;
    assert_eq!(other, refusal(400, "InvalidToken", "Unexpected authorization type"));
}

#[tokio::test]
async fn its_owner_and_the_operator_read_it_whatever_its_status() {
    shown_as_its_status_says(NSID).await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    refuses_malformed_requests(NSID).await;
}

#[tokio::test]
async fn the_same_repository_after_a_restart() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let before = pds.xrpc_get(NSID).param("did", &alice.did).send().await.body;
    pds.crash().await;
    assert_eq!(pds.xrpc_get(NSID).param("did", &alice.did).send().await.body, before);
}
