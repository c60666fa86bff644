//! The letter that tells of a sign-in from a network that is new for the account.

use std::time::Duration;

use allod_server::control::{Command, Password, Silent, execute};
use allod_testkit::{Call, TestPds};
use serde_json::json;

fn sign_in(pds: &TestPds, password: &str, address: &str) -> Call {
    let body = json!({ "identifier": "alice.test", "password": password });
    pds.xrpc_post("com.atproto.server.createSession").header("x-forwarded-for", address).json(&body)
}

async fn letters(pds: &TestPds) -> Vec<String> {
    let mail = pds.mail().await;
    mail.into_iter().filter(|letter| letter.subject == "New Sign-in").map(|letter| letter.text).collect()
}

#[tokio::test]
async fn an_owner_hears_of_a_sign_in_from_a_network_never_seen() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    // The network of the sign-up is the owner's.
    for address in ["127.0.0.1", "203.0.113.7", "203.0.113.99"] {
        sign_in(&pds, &alice.password, address).ok().await;
        assert_eq!(letters(&pds).await.len(), usize::from(address != "127.0.0.1"), "{address}");
    }
    assert_eq!(sign_in(&pds, "wrong", "198.51.100.4").send().await.status.as_u16(), 401);
    assert_eq!(letters(&pds).await.len(), 1, "nobody signed in");

    sign_in(&pds, &alice.password, "198.51.100.4").ok().await;
    let told = letters(&pds).await;
    let [_, letter] = told.as_slice() else { panic!("{told:?}") };
    assert!(letter.contains("@alice.test") && letter.contains("198.51.100.4, 2026-01-01T"), "{letter}");
    assert!(letter.contains("with its password"), "{letter}");
    sign_in(&pds, &alice.password, "198.51.100.5").ok().await;
    assert_eq!(letters(&pds).await.len(), 2, "it is known now");

    let password = pds.app_password(&alice, "phone", false).await;
    sign_in(&pds, &password, "2001:db8:1::7").ok().await;
    let told = letters(&pds).await;
    assert!(told.last().unwrap().contains("with the app password \u{201c}phone\u{201d}"), "{told:?}");

    pds.advance(Duration::from_hours(24 * 91));
    pds.do_jobs().await;
    sign_in(&pds, &alice.password, "192.0.2.1").ok().await;
    assert_eq!(letters(&pds).await.len(), 3, "everything was forgotten, so this is the first");
}

#[tokio::test]
async fn letters_stop_before_a_mailbox_is_full_and_sign_ins_do_not() {
    let pds = TestPds::options().config(|config| config.dev_mode = false).start().await;
    let alice = pds.account("alice").await;
    for network in 0..30 {
        sign_in(&pds, &alice.password, &format!("198.51.{network}.4")).ok().await;
    }
    let waiting = allod_store::sql!("SELECT count(*) FROM mail_outbox");
    let waiting: i64 = pds.app().db.read(waiting).await.unwrap().first().unwrap().get(0).unwrap();
    assert!((1..=10).contains(&waiting), "{waiting} letters");
}

#[tokio::test]
async fn an_operator_can_do_without() {
    let pds = TestPds::options().config(|config| config.sign_in_notices = false).start().await;
    let alice = pds.account("alice").await;
    for address in ["203.0.113.7", "198.51.100.4"] {
        sign_in(&pds, &alice.password, address).ok().await;
    }
    assert!(letters(&pds).await.is_empty());
}

#[tokio::test]
async fn the_operator_who_creates_an_account_is_not_its_owner() {
    let pds = TestPds::start().await;
    let create = Command::AccountCreate {
        handle: "alice.test".to_owned(),
        email: Some("alice@mail.test".to_owned()),
        password: Password::new("password-of-alice".to_owned()),
        allow_reserved: false,
    };
    execute(pds.app(), create, &mut Silent).await.unwrap();
    let rows = pds.app().db.read(allod_store::sql!("SELECT count(*) FROM sessions")).await.unwrap();
    assert_eq!(rows.first().unwrap().get::<i64>(0).unwrap(), 0, "nobody has a session of it");
    sign_in(&pds, "password-of-alice", "203.0.113.7").ok().await;
    assert!(letters(&pds).await.is_empty(), "the first network is taken for the owner's");
}
