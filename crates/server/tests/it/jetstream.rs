//! `/subscribe`: the firehose as JSON, in Jetstream's form.

use std::time::Duration;

use allod_testkit::{Actor, Options, Stream, TestPds, Told, read_json};
use serde_json::{Value, json};

const SECOND: Duration = Duration::from_secs(1);
/// When a test begins, in microseconds.
const START: i64 = 1_767_225_600_000_000;

fn options() -> Options {
    TestPds::options().config(|config| config.firehose.jetstream = true)
}

async fn open(pds: &TestPds, query: &str) -> Stream {
    pds.stream(&format!("/subscribe{query}"), &[]).await.unwrap()
}

async fn next(stream: &mut Stream) -> Value {
    match stream.next().await {
        Told::Text(text) => read_json(text.as_bytes()),
        other @ (Told::Binary(_) | Told::Close(..) | Told::Gone) => panic!("not a message: {other:?}"),
    }
}

/// What the next messages are: kind and the rest in brief.
async fn briefly(stream: &mut Stream, count: usize) -> Vec<String> {
    let mut all = Vec::new();
    for _ in 0..count {
        let message = next(stream).await;
        let kind = message["kind"].as_str().unwrap();
        all.push(match kind {
            "commit" => {
                let commit = &message["commit"];
                format!("{} {}", commit["operation"].as_str().unwrap(), commit["collection"].as_str().unwrap())
            }
            other => other.to_owned(),
        });
    }
    all
}

async fn create(pds: &TestPds, actor: &Actor, collection: &str, record: &Value) -> Value {
    let body = json!({ "repo": actor.did, "collection": collection, "record": record });
    pds.xrpc_post("com.atproto.repo.createRecord").bearer(&actor.access).json(&body).ok().await
}

fn post(text: &str) -> Value {
    json!({ "$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-01-01T00:00:00.000Z" })
}

fn follow(subject: &Actor) -> Value {
    json!({ "$type": "app.bsky.graph.follow", "subject": subject.did, "createdAt": "2026-01-01T00:00:00.000Z" })
}

#[tokio::test]
async fn is_off_unless_turned_on() {
    let pds = TestPds::start().await;
    assert_eq!(pds.stream("/subscribe", &[]).await.unwrap_err().0, 404);
}

#[tokio::test]
async fn tells_records_identities_and_accounts_in_its_own_shapes() {
    let pds = options().start().await;
    let mut stream = open(&pds, "").await;
    let alice = pds.account("alice").await;
    let time = "2026-01-01T00:00:00.000Z";
    assert_eq!(
        next(&mut stream).await,
        json!({
            "did": alice.did, "time_us": START, "kind": "identity",
            "identity": { "did": alice.did, "handle": "alice.test", "seq": 1, "time": time },
        })
    );
    assert_eq!(
        next(&mut stream).await,
        json!({
            "did": alice.did, "time_us": START, "kind": "account",
            "account": { "active": true, "did": alice.did, "seq": 2, "time": time },
        })
    );

    pds.advance(SECOND);
    let created = create(&pds, &alice, "app.bsky.feed.post", &post("hello \u{1f44b} \"world\"")).await;
    let rkey = created["uri"].as_str().unwrap().rsplit('/').next().unwrap();
    assert_eq!(
        next(&mut stream).await,
        json!({
            "did": alice.did, "time_us": START + 1_000_000, "kind": "commit",
            "commit": {
                "rev": created["commit"]["rev"], "operation": "create", "collection": "app.bsky.feed.post",
                "rkey": rkey, "record": post("hello \u{1f44b} \"world\""), "cid": created["cid"],
            },
        })
    );
    let body = json!({ "repo": alice.did, "collection": "app.bsky.feed.post", "rkey": rkey, "record": post("again") });
    let put = pds.xrpc_post("com.atproto.repo.putRecord").bearer(&alice.access).json(&body).ok().await;
    let told = next(&mut stream).await;
    assert_eq!((&told["commit"]["operation"], &told["commit"]["cid"]), (&json!("update"), &put["cid"]));
    let body = json!({ "repo": alice.did, "collection": "app.bsky.feed.post", "rkey": rkey });
    let gone = pds.xrpc_post("com.atproto.repo.deleteRecord").bearer(&alice.access).json(&body).ok().await;
    let deleted = json!({
        "rev": gone["commit"]["rev"], "operation": "delete", "collection": "app.bsky.feed.post", "rkey": rkey,
    });
    assert_eq!(next(&mut stream).await["commit"], deleted);
}

#[tokio::test]
async fn begins_at_a_moment() {
    let pds = options().start().await;
    let alice = pds.account("alice").await;
    for n in 1..=5 {
        pds.advance(SECOND);
        create(&pds, &alice, "app.bsky.feed.post", &post(&n.to_string())).await;
    }
    let second = |n: i64| START + n * 1_000_000;
    for (cursor, first) in [(second(3), 3), (second(2) + 1, 3), (second(5), 5)] {
        let mut stream = open(&pds, &format!("?cursor={cursor}")).await;
        for n in first..=5 {
            assert_eq!(next(&mut stream).await["commit"]["record"]["text"], n.to_string(), "since {cursor}");
        }
    }
    let mut oldest = open(&pds, "?cursor=1").await;
    assert_eq!(briefly(&mut oldest, 3).await, ["identity", "account", "create app.bsky.feed.post"]);
    let (mut future, mut live) = (open(&pds, &format!("?cursor={}", second(99))).await, open(&pds, "?cursor=").await);
    create(&pds, &alice, "app.bsky.feed.post", &post("new")).await;
    for stream in [&mut future, &mut live] {
        assert_eq!(next(stream).await["commit"]["record"]["text"], "new");
    }
}

#[tokio::test]
async fn tells_what_is_wanted() {
    let pds = options().start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    create(&pds, &alice, "app.bsky.feed.post", &post("a")).await;
    create(&pds, &alice, "app.bsky.graph.follow", &follow(&bob)).await;
    create(&pds, &bob, "app.bsky.feed.post", &post(&"long ".repeat(50))).await;
    let people = ["identity", "account", "identity", "account"];
    let (posted, followed) = ("create app.bsky.feed.post", "create app.bsky.graph.follow");
    for (query, expected) in [
        ("", vec![posted, followed, posted]),
        ("&wantedCollections=app.bsky.feed.post", vec![posted, posted]),
        ("&wantedCollections=app.bsky.graph.*", vec![followed]),
        ("&wantedCollections=app.bsky.graph.*&wantedCollections=app.bsky.feed.post", vec![posted, followed, posted]),
        ("&maxMessageSizeBytes=400", vec![posted, followed]),
    ] {
        let mut stream = open(&pds, &format!("?cursor=1{query}")).await;
        // A last one that everybody wants tells that nothing else came before.
        let told = briefly(&mut stream, 4 + expected.len()).await;
        assert_eq!(told, people.iter().copied().chain(expected).collect::<Vec<_>>(), "{query}");
    }
    let mut stream = open(&pds, &format!("?cursor=1&wantedDids={}&wantedCollections=app.bsky.*", bob.did)).await;
    assert_eq!(briefly(&mut stream, 3).await, ["identity", "account", posted]);
}

#[tokio::test]
async fn a_client_may_change_its_mind() {
    let pds = options().start().await;
    let alice = pds.account("alice").await;
    let update = |collections: &[&str]| {
        json!({ "type": "options_update", "payload": { "wantedCollections": collections } }).to_string()
    };
    let mut stream = open(&pds, "?cursor=1&requireHello=true").await;
    create(&pds, &alice, "app.bsky.feed.post", &post("a")).await;
    create(&pds, &alice, "app.bsky.graph.follow", &follow(&alice)).await;
    stream.send(&update(&["app.bsky.graph.follow"])).await;
    assert_eq!(briefly(&mut stream, 3).await, ["identity", "account", "create app.bsky.graph.follow"]);

    let mut bad = open(&pds, "").await;
    bad.send(&update(&["not a collection"])).await;
    let Told::Close(code, reason) = bad.next().await else { panic!("it is taken") };
    assert_eq!(code, 1008);
    assert!(reason.contains("not a collection"), "{reason}");
}

#[tokio::test]
async fn what_it_does_not_offer_is_refused_before_it_begins() {
    let pds = options().start().await;
    let many = "&wantedCollections=a.b.c".repeat(101);
    for (query, reason) in [
        ("?compress=true", "compress"),
        ("?cursor=abc", "cursor"),
        ("?wantedCollections=nothing", "nothing"),
        ("?wantedDids=alice.test", "alice.test"),
        (&format!("?x=1{many}"), "at most 100"),
    ] {
        let (status, body) = pds.stream(&format!("/subscribe{query}"), &[]).await.unwrap_err();
        assert_eq!(status, 400, "{query}");
        assert!(body.contains(reason), "{query}: {body}");
    }
    assert_eq!(pds.stream("/subscribe", &[("socket-encoding", "zstd")]).await.unwrap_err().0, 400);
    let plain = pds.client().get(format!("{}/subscribe", pds.url())).send().await.unwrap();
    assert_eq!(plain.status(), 426);
}

#[tokio::test]
async fn many_events_come_once_and_in_order_also_across_pages() {
    let pds = options().start().await;
    let alice = pds.account("alice").await;
    let mut live = open(&pds, "").await;
    for batch in 0..3 {
        let writes: Vec<Value> = (0..150)
            .map(|n| {
                json!({
                    "$type": "com.atproto.repo.applyWrites#create", "collection": "app.bsky.feed.post",
                    "value": post(&(batch * 150 + n).to_string()),
                })
            })
            .collect();
        let body = json!({ "repo": alice.did, "writes": writes });
        pds.xrpc_post("com.atproto.repo.applyWrites").bearer(&alice.access).json(&body).ok().await;
    }
    let mut backfilled = open(&pds, "?cursor=1").await;
    assert_eq!(briefly(&mut backfilled, 2).await, ["identity", "account"]);
    for n in 0..450 {
        for stream in [&mut live, &mut backfilled] {
            assert_eq!(next(stream).await["commit"]["record"]["text"], n.to_string());
        }
    }
}
