//! Guessing the administration password or a token: pauses, the audit log, and an operator who still gets in.

use std::time::Duration;

use allod_server::control::{Administration, Answer, Command, Silent, execute};
use allod_testkit::{Call, Reply, TestPds};

use crate::seen::refusal;

const METHOD: &str = "com.atproto.admin.getInviteCodes";
const WRONG: &str = "Basic YWRtaW46d3Jvbmc=";

fn call(pds: &TestPds, address: &str) -> Call {
    pds.xrpc_get(METHOD).header("x-forwarded-for", address)
}

async fn guess(pds: &TestPds, address: &str) -> u16 {
    call(pds, address).header("authorization", WRONG).send().await.status.as_u16()
}

fn retry_after(reply: &Reply) -> u64 {
    reply.headers["retry-after"].to_str().unwrap().parse().unwrap()
}

/// The audit log's entries of wrong credentials: method, address.
async fn noted(pds: &TestPds) -> Vec<(String, String)> {
    let action = Administration::Audit { limit: 100, cursor: None };
    let answer = execute(pds.app(), Command::Administer { action }, &mut Silent).await.unwrap();
    let Answer::Audit(log) = answer else { panic!("{answer:?}") };
    let wrong = log.entries.into_iter().filter(|entry| entry.actor == "unknown");
    wrong.map(|entry| (entry.method, entry.subject)).collect()
}

#[tokio::test]
async fn a_guesser_pauses_longer_each_time_and_the_operator_gets_in_from_elsewhere() {
    let pds = TestPds::start().await;
    for _ in 0..6 {
        assert_eq!(guess(&pds, "203.0.113.7").await, 401);
    }
    for pause in [1, 2, 4, 8, 16, 32, 64] {
        let refused = call(&pds, "203.0.113.7").header("authorization", WRONG).send().await;
        assert_eq!((refused.status.as_u16(), retry_after(&refused)), (429, pause));
        let right = call(&pds, "203.0.113.7").admin().error().await;
        assert_eq!(right, refusal(429, "RateLimitExceeded", "Rate Limit Exceeded"), "nobody learns that it is right");
        call(&pds, "203.0.113.8").admin().ok().await;
        pds.advance(Duration::from_secs(pause));
        assert_eq!(guess(&pds, "203.0.113.7").await, 401);
    }
    pds.advance(Duration::from_secs(128));
    call(&pds, "203.0.113.7").admin().ok().await;
    assert_eq!(guess(&pds, "203.0.113.7").await, 401, "a right one begins anew");
    assert_eq!(guess(&pds, "203.0.113.7").await, 401);
}

#[tokio::test]
async fn a_moderators_token_begins_no_new_round_of_guesses() {
    let pds = TestPds::start().await;
    let action = Administration::TokenCreate { name: "mods".to_owned(), moderator: true, expires_days: None };
    let answer = execute(pds.app(), Command::Administer { action }, &mut Silent).await.unwrap();
    let Answer::AdminTokenCreated(created) = answer else { panic!("{answer:?}") };
    let token = created.token.expose();
    for _ in 0..5 {
        assert_eq!(guess(&pds, "203.0.113.7").await, 401);
    }
    let status = pds.xrpc_get("com.atproto.admin.getSubjectStatus").param("did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
    let answer = status.header("x-forwarded-for", "203.0.113.7").bearer(token).send().await;
    assert_eq!(answer.json()["error"], "NotFound", "the token is known");
    assert_eq!(guess(&pds, "203.0.113.7").await, 401);
    assert_eq!(guess(&pds, "203.0.113.7").await, 429);
}

#[tokio::test]
async fn while_many_addresses_guess_the_operator_still_gets_in() {
    let pds = TestPds::start().await;
    for address in 0..70 {
        assert_eq!(guess(&pds, &format!("203.0.113.{address}")).await, 401);
    }
    assert_eq!(guess(&pds, "203.0.113.1").await, 429);
    call(&pds, "198.51.100.7").admin().ok().await;
    call(&pds, "198.51.100.7").admin().ok().await;
}

#[tokio::test]
async fn the_audit_log_has_one_entry_for_some_minutes_of_guessing() {
    let pds = TestPds::start().await;
    for _ in 0..5 {
        guess(&pds, "203.0.113.7").await;
        guess(&pds, "203.0.113.9").await;
    }
    let entry = |address: &str| (METHOD.to_owned(), address.to_owned());
    assert_eq!(noted(&pds).await, [entry("203.0.113.7")]);
    pds.advance(Duration::from_mins(5));
    guess(&pds, "203.0.113.9").await;
    assert_eq!(noted(&pds).await, [entry("203.0.113.9"), entry("203.0.113.7")]);
}

#[tokio::test]
async fn tokens_are_guessed_no_more_often_and_what_is_neither_is_no_guess() {
    let pds = TestPds::start().await;
    for _ in 0..6 {
        assert_eq!(call(&pds, "203.0.113.7").bearer("allod-admin-wrong").send().await.status, 401);
    }
    assert_eq!(call(&pds, "203.0.113.7").bearer("allod-admin-wrong").send().await.status, 429);
    let export = pds.xrpc_get("com.atproto.sync.getRepo").param("did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
    let export = export.header("x-forwarded-for", "203.0.113.7").header("authorization", WRONG);
    assert_eq!(export.send().await.status, 429, "methods that the password opens more of count too");
    for _ in 0..20 {
        assert_eq!(call(&pds, "203.0.113.8").bearer("garbage").send().await.status, 401);
        assert_eq!(call(&pds, "203.0.113.8").send().await.status, 401);
    }
    call(&pds, "203.0.113.8").admin().ok().await;
}
