//! `com.atproto.identity.resolveDid`.

use std::time::Duration;

use allod_atproto::plc::UnsignedTombstone;
use allod_testkit::{Behaviour, Call, TestPds};

use crate::{
    elsewhere::{Resident, directory},
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.identity.resolveDid";

fn resolve(pds: &TestPds, did: &str) -> Call {
    pds.xrpc_get(NSID).param("did", did)
}

#[tokio::test]
async fn gives_documents_from_here_and_elsewhere() {
    let pds = TestPds::start().await;
    let (alice, resident) = (pds.account("alice").await, Resident::new(&pds, 50).await);
    assert_eq!(resolve(&pds, alice.did.as_str()).ok().await["didDoc"]["id"], alice.did.as_str());
    let document = resolve(&pds, resident.did.as_str()).ok().await;
    assert_eq!(document["didDoc"]["service"][0]["serviceEndpoint"], "https://elsewhere.test");
    pds.network().page("https://web.example.com/.well-known/did.json", 200, r#"{"id":"did:web:web.example.com"}"#);
    assert_eq!(resolve(&pds, "did:web:web.example.com").ok().await["didDoc"]["id"], "did:web:web.example.com");
}

#[tokio::test]
async fn tells_what_is_not_there() {
    let pds = TestPds::start().await;
    let resident = Resident::new(&pds, 50).await;
    let tombstone = UnsignedTombstone { prev: resident.last.cid() }.sign(&resident.rotation);
    pds.advance(Duration::from_secs(1));
    directory(&pds).submit(&resident.did, &tombstone).await.unwrap();
    let ended = format!("DID was deactivated: {}", resident.did);
    assert_eq!(resolve(&pds, resident.did.as_str()).error().await, refusal(400, "DidDeactivated", &ended));
    pds.network().page("https://gone.example.com/.well-known/did.json", 404, "");
    for did in ["did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "did:web:gone.example.com", "did:web:a.local", "did:foo:bar"] {
        let message = format!("Unable to resolve DID: {did}");
        assert_eq!(resolve(&pds, did).error().await, refusal(400, "DidNotFound", &message));
    }
    assert_eq!(resolve(&pds, "did:web:nowhere.example.com").error().await.1, "UpstreamFailure");
    pds.plc().behave(Behaviour::Down).await;
    assert_eq!(resolve(&pds, "did:plc:bbbbbbbbbbbbbbbbbbbbbbbb").error().await.0, 502);
    assert_eq!(resolve(&pds, "nonsense").error().await.0, 400);
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
}
