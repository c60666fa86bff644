//! Relays are asked to come when there is something new, not too often, and ever later when they don't.

use std::time::Duration;

use allod_server::{
    control::{Answer, Command, FirehoseStatus, Silent, execute},
    domain::firehose::relays::RELAY_EVERY_SECS,
};
use allod_testkit::{Options, TestPds};
use serde_json::json;
use url::Url;

const CRAWL: &str = "https://relay.example.com/xrpc/com.atproto.sync.requestCrawl";
const OTHER: &str = "https://other.example.com/xrpc/com.atproto.sync.requestCrawl";
const MINUTE: Duration = Duration::from_mins(1);

fn options() -> Options {
    TestPds::options().config(|config| {
        config.firehose.relays =
            ["https://relay.example.com", "https://other.example.com"].map(|url| Url::parse(url).unwrap()).into();
        "https://pds.example.org".clone_into(&mut config.service.public_url);
    })
}

/// Does the due work and tells which relays were asked.
async fn asked(pds: &TestPds) -> Vec<String> {
    pds.do_jobs().await;
    let mut urls: Vec<String> = pds
        .network()
        .posts()
        .into_iter()
        .map(|(url, body)| {
            assert_eq!(body, json!({ "hostname": "pds.example.org" }));
            url
        })
        .collect();
    urls.sort();
    urls
}

async fn status(pds: &TestPds) -> FirehoseStatus {
    let Answer::Firehose(status) = execute(pds.app(), Command::FirehoseStatus {}, &mut Silent).await.unwrap() else {
        panic!("another answer")
    };
    status
}

#[tokio::test]
async fn only_for_something_new_and_not_too_often() {
    let mut pds = options().start().await;
    pds.network().page(CRAWL, 200, "{}");
    pds.network().page(OTHER, 200, "");
    assert!(asked(&pds).await.is_empty(), "there is nothing yet");
    pds.account("alice").await;
    assert_eq!(asked(&pds).await, [OTHER, CRAWL]);
    pds.advance(MINUTE * 60);
    assert!(asked(&pds).await.is_empty(), "nothing new");

    pds.account("bob").await;
    assert_eq!(asked(&pds).await, [OTHER, CRAWL]);
    pds.account("carol").await;
    pds.advance(Duration::from_secs(RELAY_EVERY_SECS - 1));
    assert!(asked(&pds).await.is_empty(), "too early");
    // Neither is forgotten: what is new, nor when it was asked.
    pds.restart().await;
    assert!(asked(&pds).await.is_empty(), "too early also after a restart");
    pds.advance(Duration::from_secs(1));
    assert_eq!(asked(&pds).await, [OTHER, CRAWL], "after the quiet time, without another event");
    pds.advance(MINUTE * 60);
    pds.restart().await;
    assert!(asked(&pds).await.is_empty(), "nothing new since");
}

#[tokio::test]
async fn what_fails_is_tried_again_ever_later_and_seen() {
    let pds = options().start().await;
    pds.network().page(CRAWL, 200, "{}");
    pds.network().page(OTHER, 400, "{\"error\":\"HostBanned\"}");
    let fresh = status(&pds).await;
    assert_eq!((fresh.newest_seq, fresh.oldest_seq, fresh.relays.len()), (0, None, 2));
    assert!(fresh.relays.iter().all(|relay| relay.last_try_at.is_none() && relay.told_seq == 0));

    pds.account("alice").await;
    assert_eq!(asked(&pds).await, [OTHER, CRAWL]);
    let seen = status(&pds).await;
    assert_eq!((seen.newest_seq, seen.oldest_seq), (4, Some(1)));
    let [good, bad] = seen.relays.as_slice() else { panic!("{:?}", seen.relays) };
    assert_eq!((good.told_seq, good.failures, good.last_error.as_deref()), (4, 0, None));
    assert_eq!(good.last_success_at.as_deref(), Some("2026-01-01T00:00:00.000Z"));
    assert_eq!((bad.told_seq, bad.failures, bad.last_success_at.as_deref()), (0, 1, None));
    assert!(bad.last_error.as_ref().unwrap().contains("status 400: {\"error\":\"HostBanned\"}"));

    // Within two hours: after 1, 2, 4, 8, 16 and 32 minutes, each up to half as long again.
    let mut tries = Vec::new();
    for minute in 1..=120 {
        pds.advance(MINUTE);
        if !asked(&pds).await.is_empty() {
            tries.push(minute);
        }
    }
    assert!((5..=7).contains(&tries.len()), "{tries:?}");
    let gaps: Vec<i32> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(gaps.windows(2).all(|pair| pair[1] > pair[0]), "{tries:?}");

    pds.network().page(OTHER, 200, "{}");
    pds.advance(MINUTE * 120);
    assert_eq!(asked(&pds).await, [OTHER]);
    let relay = &status(&pds).await.relays[1];
    assert_eq!((relay.told_seq, relay.failures, relay.last_error.as_deref()), (4, 0, None));
}

#[tokio::test]
async fn who_listens_is_seen() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    let mut behind = pds.subscribe(Some(2)).await;
    let live = pds.subscribe(None).await;
    assert_eq!(behind.seqs(2).await, [3, 4]);
    let seen = status(&pds).await;
    let mut positions: Vec<(String, i64)> =
        seen.subscribers.iter().map(|subscriber| (subscriber.form.clone(), subscriber.lag)).collect();
    positions.sort();
    assert_eq!(positions, [("subscribeRepos".to_owned(), 0), ("subscribeRepos".to_owned(), 0)]);
    assert!(seen.subscribers.iter().all(|subscriber| subscriber.address == "127.0.0.1" && subscriber.position == 4));
    drop((behind, live));
}
