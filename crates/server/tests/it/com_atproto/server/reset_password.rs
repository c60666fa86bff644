//! `com.atproto.server.resetPassword`.

use std::time::Duration;

use allod_testkit::{Actor, Call, TestPds};
use futures_util::future::join_all;
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.resetPassword";

fn reset(pds: &TestPds, code: &str, password: &str) -> Call {
    pds.xrpc_post(NSID).json(&json!({ "token": code, "password": password }))
}

async fn code(pds: &TestPds, actor: &Actor) -> String {
    let body = json!({ "email": actor.email });
    pds.xrpc_post("com.atproto.server.requestPasswordReset").json(&body).send().await;
    pds.code_mailed_to(&actor.email).await
}

fn invalid() -> seen::Refusal {
    refusal(400, "InvalidToken", "Token is invalid")
}

#[tokio::test]
async fn sets_the_password_and_ends_every_sign_in_of_every_kind() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let phone = pds.app_password(&alice, "phone", true).await;
    let on_phone = pds.sign_in_with("alice", &phone).await;
    let code = code(&pds, &alice).await;
    assert_eq!(reset(&pds, &code.to_lowercase(), "another password").send().await.status, 200);
    pds.do_jobs().await;
    let letter = pds.mail().await.pop().unwrap();
    assert_eq!(letter.subject, "Password Changed");
    assert!(!letter.text.contains("another password"));
    for _ in 0..2 {
        for actor in [&alice, &on_phone] {
            let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&actor.access);
            assert_eq!(session.error().await, refusal(400, "ExpiredToken", "Token has been revoked"));
            assert_eq!(
                pds.xrpc_post("com.atproto.server.refreshSession").bearer(&actor.refresh).send().await.status,
                400
            );
        }
        let old = json!({ "identifier": "alice.test", "password": alice.password });
        assert_eq!(pds.xrpc_post("com.atproto.server.createSession").json(&old).send().await.status, 401);
        pds.sign_in_with("alice", "another password").await;
        pds.restart().await;
    }
}

#[tokio::test]
async fn of_a_hundred_at_once_one_succeeds() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let code = code(&pds, &alice).await;
    let replies = join_all((0..100).map(|n| reset(&pds, &code, &format!("another password {n}")).send())).await;
    let winners: Vec<usize> = (0..100).filter(|n| replies[*n].status == 200).collect();
    assert_eq!(winners.len(), 1, "{winners:?}");
    assert!(replies.iter().all(|reply| [200, 400, 503].contains(&reply.status.as_u16())));
    pds.sign_in_with("alice", &format!("another password {}", winners[0])).await;
}

#[tokio::test]
async fn a_code_that_is_late_or_none_changes_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let late = code(&pds, &alice).await;
    pds.advance(Duration::from_mins(15));
    let expired = refusal(400, "ExpiredToken", "Token is expired");
    assert_eq!(reset(&pds, &late, "another password").error().await, expired);
    for nonsense in ["", "AAAAA-AAAAA", "\u{e9}"] {
        assert_eq!(reset(&pds, nonsense, "another password").error().await, invalid());
    }
    let good = code(&pds, &alice).await;
    let length = refusal(400, "InvalidRequest", "Invalid password length.");
    for password in ["", "short", &"x".repeat(257)] {
        assert_eq!(reset(&pds, &good, password).error().await, length);
    }
    pds.sign_in("alice").await;
    assert_eq!(reset(&pds, &good, "another password").send().await.status, 200, "what was refused used nothing up");
}

#[tokio::test]
async fn a_sign_in_beside_it_with_the_old_password_does_not_outlive_it() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let code = code(&pds, &alice).await;
    let old = json!({ "identifier": "alice.test", "password": alice.password });
    let sign_ins = join_all((0..10).map(|_| pds.xrpc_post("com.atproto.server.createSession").json(&old).send()));
    let (reply, sign_ins) = tokio::join!(reset(&pds, &code, "another password").send(), sign_ins);
    assert_eq!(reply.status, 200);
    for reply in sign_ins.iter().filter(|reply| reply.status == 200) {
        let token = reply.json()["accessJwt"].as_str().unwrap().to_owned();
        let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&token);
        assert_eq!(session.error().await.1, "ExpiredToken");
    }
}

#[tokio::test]
async fn wrong_verbs_are_refused() {
    let pds = TestPds::start().await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
