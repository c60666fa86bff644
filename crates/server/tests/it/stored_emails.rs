//! E-mail addresses from before there was a canonical form.

use allod_server::domain::accounts::email::convert_stored;
use allod_store::{ConflictKey, Touched, Txn, sql, tables::accounts};
use allod_testkit::{Actor, TestPds};
use serde_json::json;

/// Gives an account an address as earlier versions stored it, and lists it as the migration does.
async fn stored_as(pds: &TestPds, actor: &Actor, typed: &str, key: &str) {
    let did = actor.did.as_str();
    let mut txn = Txn::new();
    txn.touch(Touched::Account(did.to_owned()));
    txn.expect(ConflictKey::Test("there"), 1, sql!("UPDATE emails SET email_key = $2 WHERE did = $1", did, key));
    txn.expect(ConflictKey::Test("there"), 1, sql!("UPDATE accounts SET email = $2 WHERE did = $1", did, typed));
    txn.expect(ConflictKey::Test("there"), 1, sql!("INSERT INTO unconverted_emails (did) VALUES ($1)", did));
    pds.app().db.commit(txn).await.unwrap();
}

async fn listed(pds: &TestPds) -> usize {
    pds.app().db.read(sql!("SELECT did FROM unconverted_emails")).await.unwrap().len()
}

async fn signs_in(pds: &TestPds, identifier: &str) -> Option<String> {
    let body = json!({ "identifier": identifier, "password": "correct horse" });
    let reply = pds.xrpc_post("com.atproto.server.createSession").json(&body).send().await;
    reply.json()["did"].as_str().map(str::to_owned)
}

async fn email(pds: &TestPds, actor: &Actor) -> String {
    accounts::by_did(&*pds.app().db, &actor.did).await.unwrap().unwrap().email.unwrap()
}

#[tokio::test]
async fn are_converted_once() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    stored_as(&pds, &alice, "Zz@Ünïcode.example", "zz@ünïcode.example").await;
    convert_stored(pds.app()).await.unwrap();
    assert_eq!((email(&pds, &alice).await.as_str(), listed(&pds).await), ("zz@xn--ncode-cta3g.example", 0));
    for typed in ["zz@ünïcode.example", "zz@xn--ncode-cta3g.example"] {
        let holder = accounts::email_holder(&*pds.app().db, &allod_server::domain::emails::lookup_key(typed)).await;
        assert_eq!(holder.unwrap().as_deref(), Some(alice.did.as_str()));
    }
    convert_stored(pds.app()).await.unwrap();
}

#[tokio::test]
async fn of_two_for_one_mailbox_both_stay() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    stored_as(&pds, &alice, "zz@ünïcode.example", "zz@ünïcode.example").await;
    stored_as(&pds, &bob, "zz@xn--ncode-cta3g.example", "zz@xn--ncode-cta3g.example").await;
    for _ in 0..2 {
        convert_stored(pds.app()).await.unwrap();
        assert_eq!(email(&pds, &alice).await, "zz@ünïcode.example");
        assert_eq!(email(&pds, &bob).await, "zz@xn--ncode-cta3g.example");
        assert_eq!(listed(&pds).await, 1);
    }
    // Another address ends it.
    let body = json!({ "account": alice.did, "email": "alice@new.test" });
    let update = pds.xrpc_post("com.atproto.admin.updateAccountEmail").admin().json(&body).send().await;
    assert_eq!(update.status.as_u16(), 200);
    convert_stored(pds.app()).await.unwrap();
    assert_eq!((email(&pds, &alice).await.as_str(), listed(&pds).await), ("alice@new.test", 0));
}

#[tokio::test]
async fn one_whose_account_is_gone_is_forgotten() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    stored_as(&pds, &alice, "jörg@bücher.example", "jörg@bücher.example").await;
    let delete = pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&json!({ "did": alice.did }));
    assert_eq!(delete.send().await.status.as_u16(), 200);
    convert_stored(pds.app()).await.unwrap();
    assert_eq!((listed(&pds).await, signs_in(&pds, "jörg@bücher.example").await), (0, None));
}
