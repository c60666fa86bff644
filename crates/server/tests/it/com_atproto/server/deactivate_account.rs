//! `com.atproto.server.deactivateAccount`.

use std::time::Duration;

use allod_atproto::frame::{AccountStatus, Message};
use allod_testkit::{Call, TestPds};
use serde_json::{Value, json};

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.deactivateAccount";
const ACTIVATE: &str = "com.atproto.server.activateAccount";
const STATUS: &str = "com.atproto.sync.getRepoStatus";

fn deactivate(pds: &TestPds, token: &str, body: &Value) -> Call {
    pds.xrpc_post(NSID).bearer(token).json(body)
}

#[tokio::test]
async fn an_account_leaves_the_network_and_comes_back() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let before = pds.events().await.len();
    assert_eq!(deactivate(&pds, &alice.access, &json!({})).send().await.status.as_u16(), 200);
    let told = pds.events().await;
    assert_eq!(told.len(), before + 1);
    let Message::Account(inactive) = &told[before].1.message else { panic!("{told:?}") };
    assert_eq!((inactive.active, inactive.status), (false, Some(AccountStatus::Deactivated)));
    let status = pds.xrpc_get(STATUS).param("did", &alice.did).ok().await;
    assert_eq!((&status["active"], &status["status"]), (&json!(false), &json!("deactivated")));
    let record = json!({ "repo": alice.did, "collection": "com.example.note", "record": { "n": 1 } });
    let write = pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&record);
    assert_eq!(write.send().await.status.as_u16() / 100, 4);
    assert_eq!(pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).ok().await["status"], "deactivated");

    // A year later it is still there.
    pds.advance(Duration::from_hours(24 * 365));
    pds.do_jobs().await;
    let alice = pds.sign_in("alice").await;
    assert_eq!(pds.xrpc_post(ACTIVATE).bearer(&alice.access).send().await.status.as_u16(), 200);
    assert_eq!(pds.xrpc_get(STATUS).param("did", &alice.did).ok().await["active"], true);
}

#[tokio::test]
async fn the_deletion_asked_for_comes_but_not_sooner_than_in_three_days() {
    let pds = TestPds::start().await;
    for (name, delete_after, hours_alive, hours_dead) in [
        ("alice", "2020-01-01T00:00:00Z", 71, 2),
        // Test clocks start with the year 2026.
        ("bob", "2026-01-31T00:00:00Z", 24 * 20, 24 * 8),
    ] {
        let actor = pds.account(name).await;
        let ask = deactivate(&pds, &actor.access, &json!({ "deleteAfter": delete_after }));
        assert_eq!(ask.send().await.status.as_u16(), 200);
        let there = async || {
            pds.do_jobs().await;
            pds.xrpc_get(STATUS).param("did", &actor.did).send().await.status.as_u16() == 200
        };
        pds.advance(Duration::from_hours(hours_alive));
        assert!(there().await, "{name}");
        pds.advance(Duration::from_hours(hours_dead));
        assert!(!there().await, "{name}");
    }
    let carol = pds.account("carol").await;
    let carol_asks = deactivate(&pds, &carol.access, &json!({ "deleteAfter": "2026-03-01T00:00:00Z" }));
    assert_eq!(carol_asks.send().await.status.as_u16(), 200);
    // Who comes back, or deactivates without a date, stays.
    assert_eq!(pds.xrpc_post(ACTIVATE).bearer(&carol.access).send().await.status.as_u16(), 200);
    pds.advance(Duration::from_hours(24 * 300));
    pds.do_jobs().await;
    assert_eq!(pds.xrpc_get(STATUS).param("did", &carol.did).ok().await["active"], true);
}

#[tokio::test]
async fn somebody_taken_down_deactivates_too() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::take_down(&pds, &alice.did).await;
    let alice = seen::signed_in_after_takedown(&pds, alice).await;
    let before = pds.events().await.len();
    assert_eq!(deactivate(&pds, &alice.access, &json!({})).send().await.status.as_u16(), 200);
    let told = pds.events().await;
    let Message::Account(inactive) = &told[before].1.message else { panic!("{told:?}") };
    assert_eq!(inactive.status, Some(AccountStatus::TakenDown), "the moderators' word counts first");
}

#[tokio::test]
async fn bad_requests_change_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let token = pds.app_password(&alice, "app", true).await;
    let app = pds.sign_in_with("alice", &token).await;
    let before = pds.events().await.len();
    assert_eq!(
        deactivate(&pds, &app.access, &json!({})).error().await,
        refusal(400, "InvalidToken", "Bad token scope")
    );
    assert_eq!(pds.xrpc_post(NSID).json(&json!({})).error().await.1, "AuthMissing");
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).error().await.0, 400, "a body is needed");
    for bad in [json!({ "deleteAfter": "soon" }), json!({ "deleteAfter": 5 }), json!([])] {
        assert_eq!(deactivate(&pds, &alice.access, &bad).error().await.0, 400, "{bad}");
    }
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    assert_eq!(pds.events().await.len(), before);
}
