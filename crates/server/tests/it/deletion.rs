//! The end of an account: what is gone, what others are told, and what a fault in the middle leaves.

use std::time::Duration;

use allod_atproto::frame::{AccountStatus, Message};
use allod_store::{ConflictKey, fault::Fault, sql};
use allod_testkit::{Actor, TestPds};
use futures_util::future::join_all;
use serde_json::json;

use crate::seen::refusal;

/// Somebody with a record, a blob, an app password and two sign-ins.
pub(crate) async fn resident(pds: &TestPds, name: &str) -> Actor {
    let actor = pds.account(name).await;
    pds.app_password(&actor, "phone", false).await;
    pds.sign_in(name).await;
    let upload = pds.xrpc_post("com.atproto.repo.uploadBlob").bearer(&actor.access).body("text/plain", "a blob");
    let blob = upload.ok().await["blob"].clone();
    let record = json!({ "$type": "com.example.note", "blob": blob });
    let body = json!({ "repo": actor.did, "collection": "com.example.note", "rkey": "one", "record": record });
    pds.xrpc_post("com.atproto.repo.createRecord").bearer(&actor.access).json(&body).ok().await;
    actor
}

/// Every table that may say something of an account, and how.
const TABLES: &[&str] = &[
    "SELECT COUNT(*) FROM accounts WHERE did = $1",
    "SELECT COUNT(*) FROM emails WHERE did = $1",
    "SELECT COUNT(*) FROM sessions WHERE did = $1",
    "SELECT COUNT(*) FROM app_passwords WHERE did = $1",
    "SELECT COUNT(*) FROM signing_keys WHERE did = $1",
    "SELECT COUNT(*) FROM sign_ups WHERE did = $1",
    "SELECT COUNT(*) FROM repos WHERE did = $1",
    "SELECT COUNT(*) FROM repo_collections WHERE did = $1",
    "SELECT COUNT(*) FROM blobs WHERE did = $1 AND unreferenced_since IS NULL",
];

/// Checks that an account of [`resident`] is gone for everybody.
pub(crate) async fn is_gone(pds: &TestPds, actor: &Actor) {
    for table in TABLES {
        let rows = pds.app().db.read(sql!(*table, actor.did.as_str())).await.unwrap();
        assert_eq!(rows[0].get::<i64>(0).unwrap(), 0, "{table}");
    }
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&actor.access);
    let gone = format!("Could not find user info for account: {}", actor.did);
    assert_eq!(session.error().await, refusal(400, "InvalidRequest", &gone));
    assert_eq!(pds.xrpc_post("com.atproto.server.refreshSession").bearer(&actor.refresh).send().await.status, 400);
    let body = json!({ "identifier": actor.did, "password": actor.password });
    let wrong = refusal(401, "AuthenticationRequired", "Invalid identifier or password");
    assert_eq!(pds.xrpc_post("com.atproto.server.createSession").json(&body).error().await, wrong);
    for method in ["getRepo", "getLatestCommit", "getRepoStatus", "listBlobs"] {
        let call = pds.xrpc_get(&format!("com.atproto.sync.{method}")).param("did", &actor.did);
        assert_eq!(call.error().await.1, "RepoNotFound", "{method}");
    }
    let events = pds.events().await;
    let last = events.iter().rfind(|(event, _)| event.did == actor.did.as_str()).unwrap();
    let Message::Account(account) = &last.1.message else { panic!("the last event is {:?}", last.1) };
    assert!(!account.active && account.status == Some(AccountStatus::Deleted));
    pds.advance(Duration::from_hours(25));
    pds.do_jobs().await;
    for table in ["SELECT COUNT(*) FROM records", "SELECT COUNT(*) FROM record_blobs", "SELECT COUNT(*) FROM blobs"] {
        let rows = pds.app().db.read(sql!(table)).await.unwrap();
        assert_eq!(rows[0].get::<i64>(0).unwrap(), 0, "{table}");
    }
}

#[tokio::test]
async fn deactivated_accounts_go_when_their_time_is_over_and_others_are_told() {
    let mut pds = TestPds::start().await;
    let (alice, bob) = (resident(&pds, "alice").await, pds.account("bob").await);
    pds.advance(Duration::from_mins(1));
    let mut txn = allod_store::Txn::new();
    txn.touch(allod_store::Touched::Account(alice.did.to_string()));
    let soon =
        "UPDATE accounts SET deactivated_at = created_at + 1, delete_after = created_at + 3600000000 WHERE did = $1";
    txn.expect(ConflictKey::Test("there"), 1, sql!(soon, alice.did.as_str()));
    pds.app().db.commit(txn).await.unwrap();
    pds.do_jobs().await;
    pds.sign_in("alice").await;
    pds.restart().await;
    pds.advance(Duration::from_hours(1));
    pds.do_jobs().await;
    is_gone(&pds, &alice).await;
    pds.sign_in("bob").await;
    drop(bob);
}

#[tokio::test]
async fn of_writes_beside_a_deletion_none_is_left() {
    for _ in 0..5 {
        let pds = TestPds::start().await;
        let alice = resident(&pds, "alice").await;
        let write = |n: usize| {
            let record = json!({ "$type": "com.example.note", "n": n });
            let body = json!({ "repo": alice.did, "collection": "com.example.note", "record": record });
            pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&body).send()
        };
        let upload = |n: usize| {
            let call = pds.xrpc_post("com.atproto.repo.uploadBlob").bearer(&alice.access);
            call.body("text/plain", format!("blob {n}")).send()
        };
        let delete = pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&json!({ "did": alice.did })).send();
        let (writes, uploads, delete) =
            tokio::join!(join_all((0..20).map(write)), join_all((0..5).map(upload)), delete);
        assert_eq!(delete.status, 200);
        for reply in writes.iter().chain(&uploads) {
            assert!(reply.status.as_u16() < 500, "{}", reply.text());
        }
        is_gone(&pds, &alice).await;
    }
}

#[tokio::test]
async fn a_store_that_fails_leaves_the_account_or_nothing() {
    let commits = [Fault::Fail, Fault::UnknownLost, Fault::UnknownApplied].map(|fault| (0, fault));
    let reads = (1..4).map(|read| (read, Fault::Fail));
    for (read, fault) in commits.into_iter().chain(reads) {
        let mut pds = TestPds::start().await;
        let alice = resident(&pds, "alice").await;
        match read {
            0 => pds.store().at_commit(1, fault),
            read => pds.store().at_read(read, fault),
        }
        let delete =
            |pds: &TestPds| pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&json!({ "did": alice.did }));
        let reply = delete(&pds).send().await;
        pds.store().clear();
        assert!(
            reply.status == 200 || (reply.status == 503 && reply.headers.contains_key("retry-after")),
            "{}",
            reply.text()
        );
        pds.crash().await;
        let there = pds.xrpc_get("com.atproto.sync.getRepo").param("did", &alice.did).send().await.status == 200;
        assert!(!(there && reply.status == 200), "an acknowledged deletion was lost");
        assert_eq!(fault == Fault::UnknownApplied, !there && reply.status == 503);
        if there {
            pds.sign_in("alice").await;
            assert_eq!(delete(&pds).send().await.status, 200);
        }
        is_gone(&pds, &alice).await;
    }
}

#[tokio::test]
async fn a_sign_up_that_was_never_answered_opens_nothing_later() {
    let mut pds = TestPds::start().await;
    let alice = resident(&pds, "alice").await;
    let delete = pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&json!({ "did": alice.did }));
    assert_eq!(delete.send().await.status, 200);
    pds.crash().await;
    let body = json!({ "handle": "alice.test", "email": alice.email, "password": alice.password });
    let again = pds.xrpc_post("com.atproto.server.createAccount").json(&body).send().await;
    assert!(again.status != 200 || again.json()["did"] != alice.did.as_str(), "{}", again.text());
}

#[tokio::test]
async fn a_cursor_before_the_deletion_shows_the_deletion_alone() {
    let pds = TestPds::start().await;
    let (alice, bob) = (resident(&pds, "alice").await, pds.account("bob").await);
    let body = |deactivated: bool| {
        let action = if deactivated { "deactivateAccount" } else { "activateAccount" };
        pds.xrpc_post(&format!("com.atproto.server.{action}")).bearer(&alice.access)
    };
    assert_eq!(body(true).json(&json!({})).send().await.status, 200);
    assert_eq!(body(false).send().await.status, 200);
    let delete = pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&json!({ "did": alice.did }));
    assert_eq!(delete.send().await.status, 200);
    let last = pds.events().await.last().unwrap().0.seq;
    for cursor in [-1, 2] {
        let mut stream = pds.subscribe(Some(cursor)).await;
        let (mut told, mut of_bob) = (Vec::new(), 0);
        loop {
            let frame = stream.frame().await;
            match &frame.message {
                Message::Account(account) if account.did == alice.did => told.push(account.status),
                Message::Account(account) if account.did == bob.did => of_bob += 1,
                Message::Commit(commit) => assert_eq!(commit.repo, bob.did),
                Message::Identity(identity) => assert_eq!(identity.did, bob.did),
                Message::Account(_)
                | Message::Sync(_)
                | Message::Info(_)
                | Message::Error(_)
                | Message::Other { .. } => {}
            }
            if frame.seq == Some(last) {
                break;
            }
        }
        assert_eq!((told, of_bob), (vec![Some(AccountStatus::Deleted)], 1), "after {cursor}");
    }
}
