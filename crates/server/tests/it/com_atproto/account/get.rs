//! `com.atproto.account.get`.

use allod_testkit::TestPds;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.account.get";

#[tokio::test]
async fn tells_what_get_session_tells() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let session = || pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access);
    assert_eq!(pds.xrpc_get(NSID).bearer(&alice.access).ok().await, session().ok().await);
    seen::deactivate(&pds, &alice.did).await;
    assert_eq!(pds.xrpc_get(NSID).bearer(&alice.access).ok().await, session().ok().await);
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(pds.xrpc_get(NSID).bearer(&alice.access).error().await, session().error().await);
}

#[tokio::test]
async fn nothing_but_an_access_token_opens_it() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
    assert_eq!(pds.xrpc_get(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    let other_kind = refusal(400, "InvalidToken", "Unexpected authorization type");
    assert_eq!(pds.xrpc_get(NSID).admin().error().await, other_kind);
    let not_ours = refusal(400, "InvalidToken", "Token could not be verified");
    assert_eq!(pds.xrpc_get(NSID).bearer(&alice.refresh).error().await, not_ours);
}
