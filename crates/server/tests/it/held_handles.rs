//! Handles that are held for the account that had them: for how long, and how the operator frees them.

use allod_atproto::Handle;
use allod_server::domain::{
    administration::handles::{ReleaseError, held, release},
    audit::{Actor, By},
};
use allod_store::tables::accounts;
use allod_testkit::{Options, TestPds};
use serde_json::{Value, json};

const DAY_SECS: u64 = 24 * 60 * 60;

fn by() -> By {
    By { actor: Actor::CommandLine, method: "handle release" }
}

fn holding_days(days: u64) -> Options {
    TestPds::options().config(move |config| config.identity.handle_hold_secs = days * DAY_SECS)
}

/// Alice takes another handle, and Bob goes.
async fn change_and_delete(pds: &TestPds) {
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let body = json!({ "handle": "liz.test" });
    let update = pds.xrpc_post("com.atproto.identity.updateHandle").bearer(&alice.access).json(&body);
    assert_eq!(update.send().await.status.as_u16(), 200);
    let delete = pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&json!({ "did": bob.did }));
    assert_eq!(delete.send().await.status.as_u16(), 200);
}

async fn sign_up(pds: &TestPds, name: &str) -> u16 {
    let body = json!({
        "handle": format!("{name}.test"), "email": format!("new-{name}@mail.test"), "password": "correct horse"
    });
    pds.xrpc_post("com.atproto.server.createAccount").json(&body).send().await.status.as_u16()
}

async fn is_available(pds: &TestPds, handle: &str) -> bool {
    let ask = pds.xrpc_get("com.atproto.temp.checkHandleAvailability").param("handle", handle).ok().await;
    ask["result"]["$type"] == "com.atproto.temp.checkHandleAvailability#resultAvailable"
}

async fn listed(pds: &TestPds) -> Vec<String> {
    held(pds.app(), None, 100).await.unwrap().handles.into_iter().map(|held| held.handle).collect()
}

#[tokio::test]
async fn for_as_many_days_as_the_operator_says() {
    for days in [0, 2, 30] {
        let pds = holding_days(days).start().await;
        change_and_delete(&pds).await;
        if days > 0 {
            assert_eq!(listed(&pds).await, ["alice.test", "bob.test"]);
            for name in ["alice", "bob"] {
                assert!(!is_available(&pds, &format!("{name}.test")).await);
                assert_eq!(sign_up(&pds, name).await, 400);
            }
            pds.advance(std::time::Duration::from_secs(days * DAY_SECS));
        }
        assert_eq!(listed(&pds).await, Vec::<String>::new());
        for name in ["alice", "bob"] {
            assert!(is_available(&pds, &format!("{name}.test")).await);
            assert_eq!(sign_up(&pds, name).await, 200, "{name} after {days} days");
        }
    }
}

#[tokio::test]
async fn until_the_operator_releases_them() {
    let pds = holding_days(30).start().await;
    change_and_delete(&pds).await;
    let reserve = pds.xrpc_post("com.atproto.temp.addReservedHandle").admin().json(&json!({ "handle": "leiden.test" }));
    assert_eq!(reserve.send().await.status.as_u16(), 200);
    assert_eq!(listed(&pds).await, ["alice.test", "bob.test", "leiden.test"]);
    let page = held(pds.app(), None, 2).await.unwrap();
    assert_eq!((page.handles.len(), page.cursor.as_deref()), (2, Some("bob.test")));
    let rest = held(pds.app(), page.cursor.as_deref(), 2).await.unwrap();
    assert_eq!((rest.handles[0].handle.as_str(), &rest.handles[0].did, rest.cursor), ("leiden.test", &None, None));

    for name in ["alice", "bob", "leiden"] {
        assert_eq!(sign_up(&pds, name).await, 400);
        let handle = format!("{}.test", name.to_uppercase());
        assert_eq!(release(pds.app(), &by(), &handle).await.unwrap().as_str(), format!("{name}.test"));
        assert_eq!(sign_up(&pds, name).await, 200);
    }
    // Those that somebody has stay theirs.
    for handle in ["liz.test", "alice.test", "nobody.test"] {
        assert!(matches!(release(pds.app(), &by(), handle).await, Err(ReleaseError::NotHeld(_))), "{handle}");
    }
    assert!(matches!(release(pds.app(), &by(), "no handle").await, Err(ReleaseError::Handle(_))));
    let holder = accounts::handle_holder(&*pds.app().db, &Handle::parse("liz.test").unwrap()).await.unwrap();
    assert!(holder.is_some());
}

#[tokio::test]
async fn the_host_of_an_accounts_did_web_is_not_released() {
    let pds = crate::did_web::options().start().await;
    let body = json!({
        "handle": "alice.test", "email": "alice@mail.test", "password": "correct horse", "did": "did:web:alice.test"
    });
    let created: Value = pds.xrpc_post("com.atproto.server.createAccount").json(&body).ok().await;
    let access = created["accessJwt"].as_str().unwrap();
    let body = json!({ "handle": "liz.test" });
    let update = pds.xrpc_post("com.atproto.identity.updateHandle").bearer(access).json(&body);
    assert_eq!(update.send().await.status.as_u16(), 200);
    assert_eq!(held(pds.app(), None, 100).await.unwrap().handles[0].until, None);
    assert!(matches!(release(pds.app(), &by(), "alice.test").await, Err(ReleaseError::NotHeld(_))));
}
