//! `com.atproto.admin.getAccountInfos`.

use allod_testkit::TestPds;

use super::{nobody_else, wrong_get};

const NSID: &str = "com.atproto.admin.getAccountInfos";

#[tokio::test]
async fn tells_of_those_that_are_here() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let call = pds.xrpc_get(NSID).admin();
    let call = call.param("dids", &bob.did).param("dids", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
    let infos = call.param("dids", &alice.did).param("dids", &bob.did).ok().await;
    let dids: Vec<&str> = infos["infos"].as_array().unwrap().iter().map(|i| i["did"].as_str().unwrap()).collect();
    assert_eq!(dids, [bob.did.as_str(), alice.did.as_str()]);
}

#[tokio::test]
async fn refuses_others() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    nobody_else(&pds, || pds.xrpc_get(NSID).param("dids", &alice.did)).await;
    wrong_get(&pds, NSID).await;
}
