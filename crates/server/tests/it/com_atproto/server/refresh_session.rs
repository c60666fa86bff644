//! `com.atproto.server.refreshSession`.

use std::{collections::HashSet, time::Duration};

use allod_testkit::{Call, TestPds, read_json};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::seen::{self, Refusal, refusal};

const NSID: &str = "com.atproto.server.refreshSession";
const HOUR: Duration = Duration::from_hours(1);

fn refresh(pds: &TestPds, token: &str) -> Call {
    pds.xrpc_post(NSID).bearer(token)
}

async fn refreshed(pds: &TestPds, token: &str) -> String {
    refresh(pds, token).ok().await["refreshJwt"].as_str().unwrap().to_owned()
}

fn revoked() -> Refusal {
    refusal(400, "ExpiredToken", "Token has been revoked")
}

/// Reads a token's claims without checking anything.
fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    read_json(data_encoding::BASE64URL_NOPAD.decode(payload.as_bytes()).unwrap())
}

#[tokio::test]
async fn gives_the_next_pair() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    pds.advance(Duration::from_secs(10));
    let answer = refresh(&pds, &alice.refresh).ok().await;
    let expected = json!({
        "accessJwt": answer["accessJwt"],
        "refreshJwt": answer["refreshJwt"],
        "did": alice.did,
        "didDoc": pds.plc().document(alice.did.as_str()).await.unwrap(),
        "handle": "alice.test",
        "email": "alice@mail.test",
        "emailConfirmed": false,
        "emailAuthFactor": false,
        "active": true,
    });
    assert_eq!(answer, expected);
    let (access, next) = (answer["accessJwt"].as_str().unwrap(), answer["refreshJwt"].as_str().unwrap());
    assert_ne!((access, next), (alice.access.as_str(), alice.refresh.as_str()));
    assert_ne!(claims(next)["jti"], claims(&alice.refresh)["jti"]);
    for access in [access, &alice.access] {
        pds.xrpc_get("com.atproto.server.getSession").bearer(access).ok().await;
    }
}

#[tokio::test]
async fn an_access_token_lasts_two_hours_and_a_refresh_token_ninety_days() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let session = || pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access);
    pds.advance(Duration::from_secs(2 * 60 * 60 - 1));
    session().ok().await;
    pds.advance(Duration::from_secs(1));
    assert_eq!(session().error().await, refusal(400, "ExpiredToken", "Token has expired"));
    pds.advance((90 * 24 - 2) * HOUR);
    let expired = refusal(400, "ExpiredToken", "Token has expired");
    assert_eq!(refresh(&pds, &alice.refresh).error().await, expired);
}

#[tokio::test]
async fn a_used_token_gives_the_same_successor_for_two_hours() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let first = refreshed(&pds, &alice.refresh).await;
    pds.advance(Duration::from_secs(2 * 60 * 60 - 1));
    let again = refreshed(&pds, &alice.refresh).await;
    assert_eq!(claims(&first)["jti"], claims(&again)["jti"]);
    assert_eq!(claims(&first)["exp"], claims(&again)["exp"], "asking again makes nothing longer");
    let next = refreshed(&pds, &first).await;
    assert_ne!(claims(&next)["jti"], claims(&first)["jti"], "the successor lives on");
}

#[tokio::test]
async fn a_token_shown_again_after_its_grace_ends_the_sign_in_for_everybody() {
    for minutes in [121, 10 * 24 * 60] {
        let mut pds = TestPds::start().await;
        let alice = pds.account("alice").await;
        let other = pds.sign_in("alice").await;
        let mut newest = refreshed(&pds, &alice.refresh).await;
        pds.advance(Duration::from_mins(minutes));
        let answer = refresh(&pds, &newest).ok().await;
        newest = answer["refreshJwt"].as_str().unwrap().to_owned();
        let access = answer["accessJwt"].as_str().unwrap();
        let session = |token: &str| pds.xrpc_get("com.atproto.server.getSession").bearer(token);
        session(access).ok().await;
        assert_eq!(refresh(&pds, &alice.refresh).error().await, revoked());
        assert_eq!(session(access).error().await, revoked());
        assert_eq!(refresh(&pds, &newest).error().await, revoked());
        refreshed(&pds, &other.refresh).await;
        pds.restart().await;
        assert_eq!(refresh(&pds, &newest).error().await, revoked());
    }
}

#[tokio::test]
async fn a_token_used_late_is_no_grace_for_its_own_end() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    pds.advance((90 * 24 - 1) * HOUR);
    let next = refreshed(&pds, &alice.refresh).await;
    pds.advance(HOUR);
    assert_eq!(refresh(&pds, &alice.refresh).error().await.1, "ExpiredToken");
    refreshed(&pds, &next).await;
}

#[tokio::test]
async fn fifty_at_once_get_one_successor() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let answers = join_all((0..50).map(|_| refresh(&pds, &alice.refresh).ok())).await;
    let successors: HashSet<String> =
        answers.iter().map(|answer| claims(answer["refreshJwt"].as_str().unwrap())["jti"].to_string()).collect();
    assert_eq!(successors.len(), 1);
    refreshed(&pds, answers[17]["refreshJwt"].as_str().unwrap()).await;
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(answers[49]["accessJwt"].as_str().unwrap());
    session.ok().await;
}

#[tokio::test]
async fn sign_ins_are_apart() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "identifier": "alice.test", "password": alice.password });
    let other = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
    let (first, second) =
        (refreshed(&pds, &alice.refresh).await, refreshed(&pds, other["refreshJwt"].as_str().unwrap()).await);
    assert_ne!(claims(&first)["jti"], claims(&second)["jti"]);
    pds.xrpc_post("com.atproto.server.deleteSession").bearer(&first).send().await;
    assert_eq!(refresh(&pds, &first).error().await, revoked());
    refreshed(&pds, &second).await;
}

#[tokio::test]
async fn survives_a_restart() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let next = refreshed(&pds, &alice.refresh).await;
    pds.restart().await;
    assert_eq!(claims(&refreshed(&pds, &alice.refresh).await)["jti"], claims(&next)["jti"]);
    refreshed(&pds, &next).await;
}

#[tokio::test]
async fn a_taken_down_account_is_refused_and_a_deactivated_one_is_not() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    seen::take_down(&pds, &alice.did).await;
    let taken_down = refusal(401, "AccountTakedown", "Account has been taken down");
    assert_eq!(refresh(&pds, &alice.refresh).error().await, taken_down);
    seen::deactivate(&pds, &bob.did).await;
    let answer = refresh(&pds, &bob.refresh).ok().await;
    assert_eq!((&answer["active"], &answer["status"]), (&json!(false), &json!("deactivated")));
}

#[tokio::test]
async fn nothing_but_a_refresh_token_opens_it() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    let missing = refusal(401, "AuthMissing", "Authentication Required");
    assert_eq!(pds.xrpc_post(NSID).error().await, missing);
    let other_kind = refusal(400, "InvalidToken", "Unexpected authorization type");
    assert_eq!(pds.xrpc_post(NSID).admin().error().await, other_kind);
    assert_eq!(pds.xrpc_post(NSID).header("authorization", "DPoP abc").error().await, other_kind);
    let not_ours = refusal(400, "InvalidToken", "Token could not be verified");
    for wrong in wrong_tokens(&alice.refresh).iter().chain([&alice.access]) {
        assert_eq!(refresh(&pds, wrong).error().await, not_ours, "{wrong}");
    }
    let twice = refresh(&pds, &alice.refresh).header("authorization", &format!("Bearer {}", alice.refresh));
    assert_eq!(twice.error().await, refusal(400, "InvalidRequest", "More than one authorization header"));
    let body = refresh(&pds, &alice.refresh).json(&json!({}));
    let expected = refusal(400, "InvalidRequest", "A request body was provided when none was expected");
    assert_eq!(body.error().await, expected);
}

/// Tokens that look like one and are none.
pub(super) fn wrong_tokens(token: &str) -> Vec<String> {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let (header, payload) = signed.split_once('.').unwrap();
    let encode = |text: &str| data_encoding::BASE64URL_NOPAD.encode(text.as_bytes());
    let mut claims = claims(token);
    claims["sub"] = json!("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa");
    vec![
        "x".to_owned(),
        "x.y.z".to_owned(),
        "..".to_owned(),
        format!("{signed}."),
        format!("{signed}.{}", signature.chars().rev().collect::<String>()),
        format!("{}.{payload}.", encode(r#"{"typ":"refresh+jwt","alg":"none"}"#)),
        format!("{header}.{}.{signature}", encode(&claims.to_string())),
        format!("{token}.{signature}"),
        format!("{token}="),
        format!("{token}{}", "A".repeat(5_000)),
    ]
}
