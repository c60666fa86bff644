//! `com.atproto.sync.getLatestCommit`.

use allod_atproto::{Cid, Tid, frame::Message};
use allod_testkit::TestPds;

use super::get_repo::{refuses_malformed_requests, shown_as_its_status_says};

const NSID: &str = "com.atproto.sync.getLatestCommit";

#[tokio::test]
async fn tells_the_commit_the_network_was_told_of() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let answer = pds.xrpc_get(NSID).param("did", &alice.did).ok().await;
    assert_eq!(answer.as_object().unwrap().len(), 2);
    let (cid, rev) = (Cid::parse(answer["cid"].as_str().unwrap()), Tid::parse(answer["rev"].as_str().unwrap()));
    let events = pds.events().await;
    let Message::Commit(commit) = &events[2].1.message else { panic!("no commit") };
    assert_eq!((cid.unwrap(), rev.unwrap()), (commit.commit, commit.rev));
}

#[tokio::test]
async fn its_owner_and_the_operator_read_it_whatever_its_status() {
    shown_as_its_status_says(NSID).await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    refuses_malformed_requests(NSID).await;
}
