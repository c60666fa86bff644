//! `com.atproto.sync.getRepo`.

use allod_atproto::{
    car,
    did_doc::DidDocument,
    repo::{SignedCommit, Tree},
};
use allod_testkit::TestPds;
use serde_json::Value;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.sync.getRepo";
const NOBODY: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

#[tokio::test]
async fn verifies_under_the_documents_key() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let reply = pds.xrpc_get(NSID).param("did", &alice.did).send().await;
    assert_eq!(reply.status.as_u16(), 200);
    assert_eq!(reply.headers["content-type"], "application/vnd.ipld.car");

    let car = car::read(&reply.body, &car::Limits::REPOSITORY).unwrap();
    assert_eq!((car.roots().len(), car.len()), (1, 2));
    let root = car.root().unwrap();
    let mut reader = car::Reader::new(car::Limits::REPOSITORY);
    reader.push(&reply.body).unwrap();
    assert_eq!(reader.next_block().unwrap().map(|block| block.cid), Some(root), "the commit comes first");
    let commit = SignedCommit::parse(car.get(&root).unwrap()).unwrap();
    let document = pds.plc().document(alice.did.as_str()).await.unwrap();
    let document = DidDocument::from_json(document, &alice.did).unwrap();
    commit.verify(&document.signing_key().unwrap()).unwrap();
    assert_eq!((&commit.commit().did, commit.commit().prev), (&alice.did, None));
    assert_eq!(commit.commit().data, Tree::empty().root());
    assert!(Tree::from_blocks(&commit.commit().data, |cid| car.get(cid)).unwrap().is_empty());

    let latest = pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", &alice.did).ok().await;
    assert_eq!(
        (latest["cid"].as_str(), latest["rev"].as_str()),
        (Some(root.to_string().as_str()), Some(commit.commit().rev.as_str()))
    );
}

#[tokio::test]
async fn a_reader_who_has_part_of_it_gets_the_whole() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let whole = pds.xrpc_get(NSID).param("did", &alice.did).send().await;
    for since in ["2222222222222", "3zzzzzzzzzzzz"] {
        let part = pds.xrpc_get(NSID).param("did", &alice.did).param("since", since).send().await;
        assert_eq!(part.body, whole.body, "{since}");
    }
    let wrong = pds.xrpc_get(NSID).param("did", &alice.did).param("since", "yesterday").error().await;
    assert_eq!((wrong.0, wrong.1.as_str()), (400, "InvalidRequest"));
}

/// Checks who may read what of whom, for a method that shows a repository.
pub(super) async fn shown_as_its_status_says(nsid: &str) {
    let pds = TestPds::start().await;
    let (alice, bob, carol) = (pds.account("alice").await, pds.account("bob").await, pds.account("carol").await);
    let read = |did: &str| pds.xrpc_get(nsid).param("did", did);
    let missing = refusal(400, "RepoNotFound", &format!("Could not find repo for DID: {NOBODY}"));
    assert_eq!(read(NOBODY).error().await, missing);
    assert_eq!(read(NOBODY).admin().error().await, missing);

    seen::deactivate(&pds, &alice.did).await;
    seen::take_down(&pds, &bob.did).await;
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
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::wrong_verb(pds.xrpc_post(nsid), "POST", "GET").await;
    let params = format!("Invalid {nsid} params");
    for did in [None, Some(""), Some("alice.test"), Some("did:plc:"), Some("x\u{0}")] {
        let call = pds.xrpc_get(nsid);
        let call = if let Some(did) = did { call.param("did", did) } else { call };
        let (status, name, message) = call.error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{did:?}");
        assert!(message.starts_with(&params), "{message}");
    }
    let read = || pds.xrpc_get(nsid).param("did", &alice.did);
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
    assert_eq!(
        pds.xrpc_get("com.atproto.sync.getHead").param("did", &alice.did).send().await.json()["did"],
        Value::Null
    );
}
