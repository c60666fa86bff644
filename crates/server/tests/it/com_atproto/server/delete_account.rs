//! `com.atproto.server.deleteAccount`.

use std::time::Duration;

use allod_testkit::{Actor, Call, TestPds};
use futures_util::future::join_all;
use serde_json::json;

use crate::{
    deletion,
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.server.deleteAccount";

fn delete(pds: &TestPds, did: &str, password: &str, code: &str) -> Call {
    pds.xrpc_post(NSID).json(&json!({ "did": did, "password": password, "token": code }))
}

async fn code(pds: &TestPds, actor: &Actor) -> String {
    pds.xrpc_post("com.atproto.server.requestAccountDelete").bearer(&actor.access).send().await;
    pds.code_mailed_to(&actor.email).await
}

#[tokio::test]
async fn deletes_the_account_for_good() {
    let pds = TestPds::start().await;
    let alice = deletion::resident(&pds, "alice").await;
    let code = code(&pds, &alice).await;
    let replies = join_all((0..20).map(|_| delete(&pds, alice.did.as_str(), &alice.password, &code).send())).await;
    assert_eq!(replies.iter().filter(|reply| reply.status == 200).count(), 1);
    assert!(replies.iter().all(|reply| [200, 400, 401].contains(&reply.status.as_u16())));
    deletion::is_gone(&pds, &alice).await;
}

#[tokio::test]
async fn a_taken_down_account_can_be_deleted_too() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let code = code(&pds, &alice).await;
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(delete(&pds, alice.did.as_str(), &alice.password, &code).send().await.status, 200);
}

#[tokio::test]
async fn the_password_and_the_code_must_both_be_right() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let did = alice.did.as_str();
    let good = code(&pds, &alice).await;
    let long = refusal(401, "AuthenticationRequired", "Password too long. Consider resetting your password.");
    assert_eq!(delete(&pds, did, &"x".repeat(513), &good).error().await, long);
    let nobody = delete(&pds, "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", &alice.password, &good);
    assert_eq!(nobody.error().await, refusal(400, "InvalidRequest", "account not found"));
    let wrong = refusal(401, "AuthenticationRequired", "Invalid did or password");
    assert_eq!(delete(&pds, did, "wrong", &good).error().await, wrong);
    let app = pds.app_password(&alice, "app", true).await;
    assert_eq!(delete(&pds, did, &app, &good).error().await, wrong);
    let invalid = refusal(400, "InvalidToken", "Token is invalid");
    assert_eq!(delete(&pds, did, &alice.password, "AAAAA-AAAAA").error().await, invalid);
    pds.advance(Duration::from_mins(15));
    let expired = refusal(400, "ExpiredToken", "Token is expired");
    assert_eq!(delete(&pds, did, &alice.password, &good).error().await, expired);
    pds.sign_in("alice").await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
