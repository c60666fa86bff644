//! `com.atproto.server.confirmEmail`.

use std::time::Duration;

use allod_testkit::{Actor, Call, TestPds};
use futures_util::future::join_all;
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.confirmEmail";

fn confirm(pds: &TestPds, actor: &Actor, email: &str, code: &str) -> Call {
    pds.xrpc_post(NSID).bearer(&actor.access).json(&json!({ "email": email, "token": code }))
}

async fn code(pds: &TestPds, actor: &Actor) -> String {
    pds.xrpc_post("com.atproto.server.requestEmailConfirmation").bearer(&actor.access).send().await;
    pds.code_mailed_to(&actor.email).await
}

/// Confirms an account's address.
pub(crate) async fn confirmed(pds: &TestPds, actor: &Actor) {
    let code = code(pds, actor).await;
    assert_eq!(confirm(pds, actor, &actor.email, &code).send().await.status, 200);
}

fn invalid() -> seen::Refusal {
    refusal(400, "InvalidToken", "Token is invalid")
}

#[tokio::test]
async fn confirms_the_address_in_any_case_and_once() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let code = code(&pds, &alice).await;
    pds.restart().await;
    let typed = format!(" {} ", code.to_lowercase());
    assert_eq!(confirm(&pds, &alice, "ALICE@mail.test", &typed).send().await.status, 200);
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).ok().await;
    assert_eq!(session["emailConfirmed"], true);
    assert_eq!(confirm(&pds, &alice, &alice.email, &code).error().await, invalid());
}

#[tokio::test]
async fn of_a_hundred_at_once_one_succeeds() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let code = code(&pds, &alice).await;
    let replies = join_all((0..100).map(|_| confirm(&pds, &alice, &alice.email, &code).send())).await;
    let succeeded = replies.iter().filter(|reply| reply.status == 200).count();
    assert_eq!(succeeded, 1);
    assert!(replies.iter().all(|reply| reply.status == 200 || reply.json()["error"] == "InvalidToken"));
}

#[tokio::test]
async fn a_code_ends_after_a_quarter_of_an_hour_and_five_wrong_tries() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let first = code(&pds, &alice).await;
    pds.advance(Duration::from_mins(15));
    let expired = refusal(400, "ExpiredToken", "Token is expired");
    assert_eq!(confirm(&pds, &alice, &alice.email, &first).error().await, expired);
    let second = code(&pds, &alice).await;
    for _ in 0..4 {
        assert_eq!(confirm(&pds, &alice, &alice.email, "AAAAA-AAAAA").error().await, invalid());
    }
    assert_eq!(confirm(&pds, &alice, &alice.email, &first).error().await, invalid(), "the fifth");
    assert_eq!(confirm(&pds, &alice, &alice.email, &second).error().await, invalid(), "burned");
}

#[tokio::test]
async fn a_code_is_for_one_account_and_one_purpose() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let code = code(&pds, &alice).await;
    assert_eq!(confirm(&pds, &bob, &bob.email, &code).error().await, invalid());
    let body = json!({ "token": code, "password": "another password" });
    assert_eq!(pds.xrpc_post("com.atproto.server.resetPassword").json(&body).error().await, invalid());
    let other = refusal(400, "InvalidEmail", "invalid email");
    assert_eq!(confirm(&pds, &alice, &bob.email, &code).error().await, other);
    assert_eq!(confirm(&pds, &alice, &alice.email, &code).send().await.status, 200);
}

#[tokio::test]
async fn nothing_but_an_access_token_opens_it() {
    let pds = TestPds::start().await;
    let body = json!({ "email": "a@mail.test", "token": "x" });
    assert_eq!(pds.xrpc_post(NSID).json(&body).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
