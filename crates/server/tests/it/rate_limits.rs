//! How often callers may do things, and how they are told.

use std::time::Duration;

use allod_base::secret::Secret;
use allod_server::config::RateLimitConfig;
use allod_testkit::{Call, Reply, TestPds};
use futures_util::{StreamExt, stream};
use serde_json::json;

use crate::seen::refusal;

const SESSION: &str = "com.atproto.server.createSession";
const DESCRIBE: &str = "com.atproto.server.describeServer";

async fn limited() -> TestPds {
    let on = RateLimitConfig {
        enabled: true,
        bypass_key: Some(Secret::new("let-me-pass".to_owned())),
        bypass_networks: vec!["203.0.113.0/24".parse().unwrap()],
    };
    TestPds::options().config(move |config| config.rate_limits = on.clone()).start().await
}

fn from(call: Call, address: &str) -> Call {
    call.header("x-forwarded-for", address)
}

fn header(reply: &Reply, name: &str) -> String {
    reply.headers[name].to_str().unwrap().to_owned()
}

/// Makes `count` calls, 32 at a time, and tells how many were let through.
async fn let_through(count: usize, call: impl Fn() -> Call) -> usize {
    let statuses = stream::iter((0..count).map(|_| call().send())).buffer_unordered(32);
    statuses.filter(|reply| std::future::ready(reply.status.as_u16() != 429)).count().await
}

#[tokio::test]
async fn guessing_a_password_ends_after_thirty_tries_from_one_address() {
    let pds = limited().await;
    let alice = pds.account("alice").await;
    pds.account("bob").await;
    let try_from = |identifier: &str, password: &str, address: &str| {
        let body = json!({ "identifier": identifier, "password": password });
        from(pds.xrpc_post(SESSION).json(&body), address)
    };
    let first = try_from("alice.test", "wrong", "198.51.100.1").send().await;
    assert_eq!(first.status, 401);
    assert_eq!((header(&first, "ratelimit-limit"), header(&first, "ratelimit-remaining")), ("30".into(), "29".into()));
    assert_eq!(header(&first, "ratelimit-policy"), "30;w=300");
    assert!(header(&first, "access-control-expose-headers").contains("RateLimit-Remaining"));
    for _ in 0..29 {
        assert_eq!(try_from(" ALICE.test", "wrong", "198.51.100.1").send().await.status, 401);
    }
    let refused = try_from("alice.test", &alice.password, "198.51.100.1").send().await;
    assert_eq!(
        (refused.status.as_u16(), refused.json()),
        (429, json!({ "error": "RateLimitExceeded", "message": "Rate Limit Exceeded" }))
    );
    assert_eq!(header(&refused, "ratelimit-remaining"), "0");
    let secs: u64 = header(&refused, "retry-after").parse().unwrap();
    assert!((1..=300).contains(&secs), "{secs}");
    try_from("bob.test", "password-of-bob", "198.51.100.1").ok().await;
    try_from("alice.test", &alice.password, "198.51.100.2").ok().await;
    pds.advance(Duration::from_mins(5));
    try_from("alice.test", &alice.password, "198.51.100.1").ok().await;
}

#[tokio::test]
async fn a_process_on_this_machine_is_counted_by_account_alone() {
    let pds = limited().await;
    let alice = pds.account("alice").await;
    assert_eq!(let_through(3_100, || pds.xrpc_get(DESCRIBE)).await, 3_100);
    let body = json!({ "identifier": alice.did, "password": "wrong" });
    assert_eq!(let_through(40, || pds.xrpc_post(SESSION).json(&body)).await, 30);
}

#[tokio::test]
async fn an_address_makes_three_thousand_calls_in_five_minutes() {
    let pds = limited().await;
    let describe = || from(pds.xrpc_get(DESCRIBE), "2001:db8:1:2::3");
    let first = describe().send().await;
    assert_eq!(
        (header(&first, "ratelimit-limit"), header(&first, "ratelimit-remaining")),
        ("3000".into(), "2999".into())
    );
    assert_eq!(let_through(3_010, describe).await, 2_999);
    let neighbour = from(pds.xrpc_get(DESCRIBE), "2001:db8:1:2:ffff::1");
    assert_eq!(
        neighbour.error().await,
        refusal(429, "RateLimitExceeded", "Rate Limit Exceeded"),
        "a /64 is one caller"
    );
    assert_eq!(from(pds.xrpc_get("com.example.none"), "2001:db8:1:2::3").send().await.status, 429);
    from(pds.xrpc_get(DESCRIBE), "2001:db8:1:3::3").ok().await;
    describe().header("x-ratelimit-bypass", "let-me-pass").ok().await;
    assert_eq!(describe().header("x-ratelimit-bypass", "let-me-pas").send().await.status, 429);
    let export = from(
        pds.xrpc_get("com.atproto.sync.getRepo").param("did", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa"),
        "2001:db8:1:2::3",
    );
    let export = export.send().await;
    assert_eq!(
        (export.status.as_u16(), header(&export, "ratelimit-limit")),
        (400, "6000".into()),
        "it is counted apart"
    );
}

#[tokio::test]
async fn networks_that_the_operator_names_are_not_counted() {
    let pds = limited().await;
    assert_eq!(let_through(3_100, || from(pds.xrpc_get(DESCRIBE), "203.0.113.7")).await, 3_100);
}

#[tokio::test]
async fn writes_take_points_by_what_they_do() {
    let pds = limited().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let write = |actor: &allod_testkit::Actor, creates: usize, deletes: usize| {
        let record = json!({ "$type": "com.example.note", "n": 1 });
        let mut writes = Vec::new();
        for n in 0..creates {
            let (kind, rkey) = ("com.atproto.repo.applyWrites#create", format!("k{n}"));
            writes.push(json!({ "$type": kind, "collection": "com.example.note", "rkey": rkey, "value": record }));
        }
        for n in 0..deletes {
            let (kind, rkey) = ("com.atproto.repo.applyWrites#delete", format!("k{n}"));
            writes.push(json!({ "$type": kind, "collection": "com.example.note", "rkey": rkey }));
        }
        let body = json!({ "repo": actor.did, "writes": writes });
        pds.xrpc_post("com.atproto.repo.applyWrites").bearer(&actor.access).json(&body)
    };
    let mut left = 5_000;
    while left >= 800 {
        let reply = write(&alice, 200, 0).send().await;
        left -= 600;
        assert_eq!((reply.status.as_u16(), header(&reply, "ratelimit-remaining")), (200, left.to_string()));
        let reply = write(&alice, 0, 200).send().await;
        left -= 200;
        assert_eq!((reply.status.as_u16(), header(&reply, "ratelimit-remaining")), (200, left.to_string()));
    }
    assert_eq!(write(&alice, 100, 0).send().await.status, 429);
    write(&bob, 1, 0).ok().await;
    pds.advance(Duration::from_hours(1));
    write(&alice, 1, 0).ok().await;
}

#[tokio::test]
async fn what_is_refused_for_its_form_takes_no_points_of_the_method() {
    let pds = limited().await;
    for _ in 0..40 {
        assert_eq!(pds.xrpc_post(SESSION).json(&json!({ "identifier": "alice.test" })).send().await.status, 400);
    }
    let body = json!({ "identifier": "alice.test", "password": "wrong" });
    let reply = pds.xrpc_post(SESSION).json(&body).send().await;
    assert_eq!((reply.status.as_u16(), header(&reply, "ratelimit-remaining")), (401, "29".into()));
}

#[tokio::test]
async fn strangers_do_not_keep_an_owner_from_deleting_an_account() {
    let pds = limited().await;
    let alice = pds.account("alice").await;
    let delete = |password: &str, code: &str, address: &str| {
        let body = json!({ "did": alice.did, "password": password, "token": code });
        from(pds.xrpc_post("com.atproto.server.deleteAccount").json(&body), address)
    };
    pds.xrpc_post("com.atproto.server.requestAccountDelete").bearer(&alice.access).send().await;
    let code = pds.code_mailed_to(&alice.email).await;
    assert_eq!(let_through(60, || delete("wrong", "AAAAA-AAAAA", "198.51.100.1")).await, 50);
    assert_eq!(delete(&alice.password, &code, "198.51.100.1").send().await.status, 429);
    let mut guesses = 50;
    for _ in 0..6 {
        pds.advance(Duration::from_mins(5));
        guesses += let_through(60, || delete("wrong", "AAAAA-AAAAA", "198.51.100.1")).await;
    }
    assert_eq!(guesses, 300, "as many a day as sign-ins");
    pds.xrpc_post("com.atproto.server.requestAccountDelete").bearer(&alice.access).send().await;
    let code = pds.code_mailed_to(&alice.email).await;
    assert_eq!(delete(&alice.password, &code, "198.51.100.2").send().await.status, 200);
}
