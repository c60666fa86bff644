//! `com.atproto.sync.getCheckout`.

use allod_testkit::TestPds;

use super::{
    fill,
    get_repo::{refuses_malformed_requests, shown_as_its_status_says},
};

const NSID: &str = "com.atproto.sync.getCheckout";

#[tokio::test]
async fn is_get_repo() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice, 5, 10).await;
    let repo = pds.xrpc_get("com.atproto.sync.getRepo").param("did", &alice.did).send().await;
    let checkout = pds.xrpc_get(NSID).param("did", &alice.did).send().await;
    assert_eq!((checkout.status.as_u16(), &checkout.headers["content-type"]), (200, &repo.headers["content-type"]));
    assert_eq!(checkout.body, repo.body);
}

#[tokio::test]
async fn its_owner_and_the_operator_read_it_whatever_its_status() {
    shown_as_its_status_says(NSID).await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    refuses_malformed_requests(NSID).await;
}
