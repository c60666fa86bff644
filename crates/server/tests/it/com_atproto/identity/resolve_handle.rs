//! `com.atproto.identity.resolveHandle`.

use allod_testkit::{Call, TestPds};
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.identity.resolveHandle";
const SOMEBODY: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

fn resolve(pds: &TestPds, handle: &str) -> Call {
    pds.xrpc_get(NSID).param("handle", handle)
}

fn not_found() -> seen::Refusal {
    refusal(400, "HandleNotFound", "Unable to resolve handle")
}

#[tokio::test]
async fn finds_accounts_here_in_any_case() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for handle in ["alice.test", "ALICE.Test"] {
        assert_eq!(resolve(&pds, handle).ok().await, json!({ "did": alice.did }));
    }
    assert_eq!(resolve(&pds, "alice.test").bearer("nonsense").ok().await["did"], alice.did.as_str());
}

#[tokio::test]
async fn does_not_find_who_is_not_active() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    seen::deactivate(&pds, &alice.did).await;
    seen::take_down(&pds, &bob.did).await;
    for handle in ["alice.test", "bob.test", "nobody.test"] {
        // What the rest of the network says of one of our own names does not count.
        pds.network().txt(&format!("_atproto.{handle}"), &[&format!("did={SOMEBODY}")]);
        assert_eq!(resolve(&pds, handle).error().await, not_found(), "{handle}");
    }
}

#[tokio::test]
async fn asks_the_network_for_other_handles() {
    let pds = TestPds::start().await;
    let right = format!("did={SOMEBODY}");
    pds.network().txt("_atproto.dns.example.com", &["v=spf1", &right]);
    pds.network().page("https://web.example.com/.well-known/atproto-did", 200, format!("{SOMEBODY}\n"));
    for handle in ["dns.example.com", "web.example.com"] {
        assert_eq!(resolve(&pds, handle).ok().await["did"], SOMEBODY, "{handle}");
    }
    pds.network().txt("_atproto.two.example.com", &[&right, "did=did:web:example.com"]);
    pds.network().txt("_atproto.bad.example.com", &["did=nonsense"]);
    for (host, status, body) in [
        ("missing", 404, SOMEBODY.to_owned()),
        ("broken", 500, SOMEBODY.to_owned()),
        ("page", 200, "<html>".to_owned()),
        ("huge", 200, format!("{SOMEBODY}{}", " ".repeat(5_000))),
        ("moved", 302, SOMEBODY.to_owned()),
    ] {
        pds.network().page(&format!("https://{host}.example.com/.well-known/atproto-did"), status, body);
    }
    for host in ["two", "bad", "missing", "broken", "page", "huge", "moved", "nowhere"] {
        assert_eq!(resolve(&pds, &format!("{host}.example.com")).error().await, not_found(), "{host}");
    }
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let pds = TestPds::start().await;
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
    let missing = pds.xrpc_get(NSID).error().await;
    assert_eq!((missing.0, missing.1.as_str()), (400, "InvalidRequest"));
    for handle in ["", "alice", "jo_hn.test", "a\u{0}b.test", "älice.test"] {
        let (status, name, message) = resolve(&pds, handle).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{handle:?}");
        assert!(message.starts_with("Invalid com.atproto.identity.resolveHandle params: "), "{message}");
    }
    let two = pds.xrpc_get(NSID).param("handle", "a.test").param("handle", "b.test").error().await;
    assert_eq!(two.0, 400);
}
