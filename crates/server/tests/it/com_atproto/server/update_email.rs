//! `com.atproto.server.updateEmail`.

use std::time::Duration;

use allod_testkit::{Actor, Call, TestPds};
use serde_json::{Value, json};

use super::confirm_email::confirmed;
use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.updateEmail";

fn update(pds: &TestPds, actor: &Actor, body: &Value) -> Call {
    pds.xrpc_post(NSID).bearer(&actor.access).json(body)
}

async fn code(pds: &TestPds, actor: &Actor) -> String {
    pds.xrpc_post("com.atproto.server.requestEmailUpdate").bearer(&actor.access).ok().await;
    pds.code_mailed_to(&actor.email).await
}

async fn session(pds: &TestPds, actor: &Actor) -> Value {
    pds.xrpc_get("com.atproto.server.getSession").bearer(&actor.access).ok().await
}

#[tokio::test]
async fn an_address_that_is_not_confirmed_is_changed_without_a_code() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(update(&pds, &alice, &json!({ "email": "new@mail.test" })).send().await.status, 200);
    assert_eq!(session(&pds, &alice).await["email"], "new@mail.test");
    pds.do_jobs().await;
    let mail = pds.mail().await;
    assert_eq!((mail[0].to.as_str(), mail[0].subject.as_str()), ("alice@mail.test", "Email Changed"));
    seen::names_are_free(&pds, "free.test", "alice@mail.test").await;
}

#[tokio::test]
async fn a_confirmed_one_needs_a_code_and_its_successor_is_not_confirmed() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    confirmed(&pds, &alice).await;
    let required = refusal(400, "TokenRequired", "confirmation token required");
    assert_eq!(update(&pds, &alice, &json!({ "email": "new@mail.test" })).error().await, required);
    assert_eq!(update(&pds, &alice, &json!({ "email": "new@mail.test", "token": " " })).error().await, required);
    let invalid = refusal(400, "InvalidToken", "Token is invalid");
    let wrong = json!({ "email": "new@mail.test", "token": "AAAAA-AAAAA" });
    assert_eq!(update(&pds, &alice, &wrong).error().await, invalid);
    let first = code(&pds, &alice).await;
    pds.advance(Duration::from_mins(15));
    let late = json!({ "email": "new@mail.test", "token": first });
    assert_eq!(update(&pds, &alice, &late).error().await, refusal(400, "ExpiredToken", "Token is expired"));
    let body = json!({ "email": "new@mail.test", "token": code(&pds, &alice).await });
    assert_eq!(update(&pds, &alice, &body).send().await.status, 200);
    let now = session(&pds, &alice).await;
    assert_eq!((&now["email"], &now["emailConfirmed"]), (&json!("new@mail.test"), &json!(false)));
}

#[tokio::test]
async fn an_address_of_another_or_of_nobody_is_refused_and_uses_no_code_up() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    confirmed(&pds, &alice).await;
    let code = code(&pds, &alice).await;
    let taken = refusal(400, "InvalidRequest", "This email address is already in use, please use a different email.");
    assert_eq!(update(&pds, &alice, &json!({ "email": "BOB@mail.test", "token": code })).error().await, taken);
    let unsupported = "This email address is not supported, please use a different email.";
    let body = json!({ "email": "nonsense", "token": code });
    assert_eq!(update(&pds, &alice, &body).error().await, refusal(400, "InvalidRequest", unsupported));
    assert_eq!(update(&pds, &alice, &json!({ "email": "new@mail.test", "token": code })).send().await.status, 200);
    drop(bob);
}

#[tokio::test]
async fn a_code_at_sign_in_can_be_asked_for_once_the_address_is_confirmed() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let on = json!({ "email": alice.email, "emailAuthFactor": true });
    let unconfirmed = "The email address must be confirmed before it can be used to sign in";
    assert_eq!(update(&pds, &alice, &on).error().await, refusal(400, "InvalidRequest", unconfirmed));
    confirmed(&pds, &alice).await;
    assert_eq!(update(&pds, &alice, &on).send().await.status, 200);
    let off = json!({ "email": alice.email, "emailAuthFactor": false });
    let required = refusal(400, "TokenRequired", "confirmation token required");
    assert_eq!(update(&pds, &alice, &off).error().await, required, "asking for less needs a code");
    let now = session(&pds, &alice).await;
    assert_eq!((&now["emailConfirmed"], &now["emailAuthFactor"]), (&json!(true), &json!(true)));

    let sign_in = |code: Option<&str>| {
        let body = json!({ "identifier": "alice.test", "password": alice.password, "authFactorToken": code });
        let body: Value = body.as_object().unwrap().clone().into_iter().filter(|(_, v)| !v.is_null()).collect();
        pds.xrpc_post("com.atproto.server.createSession").json(&body)
    };
    let required = refusal(401, "AuthFactorTokenRequired", "A sign in code has been sent to your email address");
    assert_eq!(sign_in(None).error().await, required);
    let code = pds.code_mailed_to(&alice.email).await;
    assert_eq!(sign_in(Some("AAAAA-AAAAA")).error().await, refusal(400, "InvalidToken", "Token is invalid"));
    let replies = futures_util::future::join_all((0..20).map(|_| sign_in(Some(&code)).send())).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert_eq!(replies.iter().find(|reply| reply.status == 200).unwrap().json()["emailAuthFactor"], true);
    assert_eq!(pds.mail().await.iter().filter(|letter| letter.subject == "Sign-in Code").count(), 1);
    let wrong = json!({ "identifier": "alice.test", "password": "wrong" });
    let wrong = pds.xrpc_post("com.atproto.server.createSession").json(&wrong).error().await;
    assert_eq!(wrong, refusal(401, "AuthenticationRequired", "Invalid identifier or password"));
    let phone = pds.app_password(&alice, "phone", false).await;
    pds.sign_in_with("alice", &phone).await;

    let code = self::code(&pds, &alice).await;
    let off = json!({ "email": alice.email, "emailAuthFactor": false, "token": code });
    assert_eq!(update(&pds, &alice, &off).send().await.status, 200);
    pds.sign_in("alice").await;
}

#[tokio::test]
async fn nothing_but_the_accounts_own_password_opens_it() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "email": "new@mail.test" });
    assert_eq!(pds.xrpc_post(NSID).json(&body).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    let password = pds.app_password(&alice, "app", true).await;
    let app = pds.sign_in_with("alice", &password).await;
    assert_eq!(update(&pds, &app, &body).error().await, refusal(400, "InvalidToken", "Bad token scope"));
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
