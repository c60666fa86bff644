//! `com.atproto.identity.resolveIdentity`.

use std::time::Duration;

use allod_testkit::{Call, TestPds};

use crate::{
    elsewhere::Resident,
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.identity.resolveIdentity";

fn resolve(pds: &TestPds, identifier: &str) -> Call {
    pds.xrpc_get(NSID).param("identifier", identifier)
}

#[tokio::test]
async fn both_ways_are_confirmed() {
    // Handles are given under another domain, so that the network is asked for the resident's.
    let pds = TestPds::options().handle_domains(&[".here.test"]).start().await;
    let alice = pds.account("alice").await;
    for identifier in [alice.did.as_str(), "alice.here.test", "ALICE.here.test"] {
        let identity = resolve(&pds, identifier).ok().await;
        assert_eq!(identity["did"], alice.did.as_str());
        assert_eq!(identity["handle"], "alice.here.test");
        assert_eq!(identity["didDoc"]["id"], alice.did.as_str());
    }

    let resident = Resident::new(&pds, 50).await;
    let handle = async |identifier: &str| resolve(&pds, identifier).ok().await["handle"].clone();
    // The document claims a handle that leads nowhere.
    assert_eq!(handle(resident.did.as_str()).await, "handle.invalid");
    let claims = format!("did={}", resident.did);
    pds.network().txt("_atproto.someone.elsewhere.test", &[&claims]);
    assert_eq!(handle(resident.did.as_str()).await, "handle.invalid", "as was found a moment ago");
    pds.advance(Duration::from_secs(62));
    assert_eq!(handle(resident.did.as_str()).await, "someone.elsewhere.test");
    // A handle that leads to a document which does not claim it.
    pds.network().txt("_atproto.liar.elsewhere.test", &[&claims]);
    assert_eq!(handle("liar.elsewhere.test").await, "someone.elsewhere.test");
    pds.network().txt("_atproto.someone.elsewhere.test", &["did=did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"]);
    assert_eq!(handle(resident.did.as_str()).await, "someone.elsewhere.test", "kept for ten minutes");
    pds.advance(Duration::from_secs(602));
    assert_eq!(handle(resident.did.as_str()).await, "handle.invalid");
}

#[tokio::test]
async fn tells_what_is_not_there() {
    let pds = TestPds::start().await;
    for handle in ["nobody.test", "nobody.example.com"] {
        assert_eq!(resolve(&pds, handle).error().await, refusal(400, "HandleNotFound", "Unable to resolve handle"));
    }
    let did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    let message = format!("Unable to resolve DID: {did}");
    assert_eq!(resolve(&pds, did).error().await, refusal(400, "DidNotFound", &message));
    assert_eq!(resolve(&pds, "no identifier").error().await.0, 400);
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
}
