//! The bytes of answers that are held.

use allod_http::limits::STREAM_HELD_BYTES;
use allod_server::{
    domain::shares::{Place, Taker},
    limits,
};
use allod_testkit::{Actor, TestPds};
use http::{Request, Response};
use serde_json::json;

use super::{Stalled, until};

const LIST: &str = "com.atproto.repo.listRecords";
const NOTES: &str = "com.example.note";

/// Creates large records.
async fn fill(pds: &TestPds, actor: &Actor, records: usize) {
    for n in 0..records {
        let record = json!({ "$type": NOTES, "n": n, "text": "x".repeat(RECORD_BYTES) });
        let body = json!({ "repo": actor.did, "collection": NOTES, "record": record });
        pds.xrpc_post("com.atproto.repo.createRecord").bearer(&actor.access).json(&body).ok().await;
    }
}

fn list(pds: &TestPds, actor: &Actor, address: &str) -> Request<()> {
    let url = format!("{}/xrpc/{LIST}?repo={}&collection={NOTES}&limit=100", pds.url(), actor.did);
    Request::get(url).header("x-forwarded-for", address).body(()).unwrap()
}

#[tokio::test]
async fn a_client_that_takes_nothing_has_its_share_and_the_others_theirs() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice, 3).await;
    let stalled = Stalled::connect(&pds).await;
    let mut answers: Vec<Response<h2::RecvStream>> = Vec::new();
    for _ in 0..40 {
        let (answer, _) = stalled.open(list(&pds, &alice, "198.51.100.1"), true).await;
        answers.push(answer.await.unwrap());
    }
    let held = pds.app().answers.held_bytes();
    assert!(held > limits::LARGE_ANSWERS_PER_ADDRESS_BYTES_MAX / 2, "{held}");
    let most = limits::LARGE_ANSWERS_PER_ADDRESS_BYTES_MAX + limits::SMALL_ANSWERS_PER_ADDRESS_BYTES_MAX;
    assert!(held <= most, "{held}");
    let refused: Vec<_> = answers.iter().filter(|answer| answer.status() == 503).collect();
    assert!(refused.len() > 5, "{}", refused.len());
    assert_eq!(refused[0].headers()["retry-after"], "5");
    assert_eq!(refused[0].headers()["access-control-allow-origin"], "*");

    let other = |address: &str| {
        let call = pds.xrpc_get(LIST).param("repo", &alice.did).param("collection", NOTES);
        call.header("x-forwarded-for", address)
    };
    other("198.51.100.2").ok().await;
    assert_eq!(other("198.51.100.1").error().await.1, "NotEnoughResources");
    let small = pds.xrpc_get("com.atproto.server.describeServer").header("x-forwarded-for", "198.51.100.1");
    small.ok().await;

    drop((answers, stalled));
    until("what was held is given back", || pds.app().answers.held_bytes() == 0).await;
    other("198.51.100.1").ok().await;
}

#[tokio::test]
async fn streams_count_as_large_answers() {
    const STREAMS: usize = 10;

    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    // A file that is made at once is no stream.
    fill(&pds, &alice, 1).await;
    let stalled = Stalled::connect(&pds).await;
    let mut answers = Vec::new();
    for _ in 0..STREAMS {
        let url = format!("{}/xrpc/com.atproto.sync.getRepo?did={}", pds.url(), alice.did);
        let (answer, _) = stalled.open(Request::get(url).body(()).unwrap(), true).await;
        let answer = answer.await.unwrap();
        assert_eq!(answer.status(), 200);
        answers.push(answer);
    }
    // Far more than one address has of small answers.
    let held = pds.app().answers.held_bytes();
    assert!((STREAMS * STREAM_HELD_BYTES..=STREAMS * HELD_MAX).contains(&held), "{held}");
    drop((answers, stalled));
    until("what was held is given back", || pds.app().answers.held_bytes() == 0).await;
}

/// How many bytes of records [`fill`] creates at a time.
const RECORD_BYTES: usize = 900_000;

/// How much one stream of such records may hold: a piece has one record at least, and is sent before the next is read.
const HELD_MAX: usize = STREAM_HELD_BYTES + RECORD_BYTES + limits::RECORD_BYTES_PER_READ;

#[tokio::test]
async fn a_large_answer_is_read_and_held_only_as_it_is_taken() {
    const RECORDS: usize = 6;
    /// Less than a piece of the answer.
    const WINDOW_BYTES: u32 = 16 * 1024;
    /// How often the store is read before the answer begins, and for the record that is sent and the next one.
    const FIRST_READS: usize = 8;

    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice, RECORDS).await;
    let before = pds.store().reads();
    let stalled = Stalled::with_window(&pds, WINDOW_BYTES).await;
    let url = format!("{}/xrpc/com.atproto.sync.getRepo?did={}", pds.url(), alice.did);
    let (answer, _) = stalled.open(Request::get(url).body(()).unwrap(), true).await;
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 200);
    let mut body = answer.into_body();
    let (mut taken, mut most) = (0, 0);
    while let Some(bytes) = body.data().await.transpose().unwrap() {
        taken += bytes.len();
        // What was read so far is what was taken, and one read ahead of it.
        let held = pds.app().answers.held_bytes();
        assert!(held <= HELD_MAX, "{held}");
        // The end of the answer may be on its way, where it is held no more.
        assert!(held >= STREAM_HELD_BYTES || taken > (RECORDS - 1) * RECORD_BYTES, "{held}");
        let reads = usize::try_from(pds.store().reads() - before).unwrap();
        assert!(reads <= FIRST_READS + taken / RECORD_BYTES, "{reads} reads when {taken} bytes were taken");
        most = most.max(held);
        body.flow_control().release_capacity(bytes.len()).unwrap();
    }
    assert!(taken > RECORDS * RECORD_BYTES, "{taken}");
    assert!(most > RECORD_BYTES, "a piece that is larger than usual counts as such: {most}");
    until("what was held is given back", || pds.app().answers.held_bytes() == 0).await;
}

/// Takes what an address may have of the memory for small answers, but for `left` bytes.
fn fill_small(pds: &TestPds, address: &str, left: usize) -> Vec<Place> {
    let taker = Taker::new(address.parse().unwrap(), None);
    let mut held: Vec<Place> =
        std::iter::from_fn(|| pds.app().answers.take(&taker, limits::WRITE_ANSWER_BYTES_RESERVED).ok()).collect();
    held.truncate(held.len() - left.div_ceil(limits::WRITE_ANSWER_BYTES_RESERVED));
    held
}

#[tokio::test]
async fn a_write_is_refused_before_it_is_carried_out_or_answered() {
    const ADDRESS: &str = "198.51.100.1";
    const WRITES: usize = 100;

    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let writes: Vec<_> = (0..WRITES)
        .map(|n| json!({ "$type": "com.atproto.repo.applyWrites#create", "collection": NOTES, "value": { "$type": NOTES, "n": n } }))
        .collect();
    let body = json!({ "repo": alice.did, "writes": writes });
    let write = || {
        let call = pds.xrpc_post("com.atproto.repo.applyWrites").bearer(&alice.access).json(&body);
        call.header("x-forwarded-for", ADDRESS)
    };
    let records = async || {
        let call = pds.xrpc_get(LIST).param("repo", &alice.did).param("collection", NOTES).param("limit", 100);
        call.ok().await["records"].as_array().unwrap().len()
    };

    let held = fill_small(&pds, ADDRESS, 0);
    let refused = write().error().await;
    assert_eq!((refused.0, refused.1.as_str()), (503, "NotEnoughResources"));
    assert_eq!(records().await, 0);
    drop(held);

    // Room for what is reserved, and not for the answer.
    let held = fill_small(&pds, ADDRESS, limits::WRITE_ANSWER_BYTES_RESERVED);
    let large = Taker::new(ADDRESS.parse().unwrap(), None);
    let large: Vec<Place> =
        std::iter::from_fn(|| pds.app().answers.take(&large, limits::SMALL_ANSWER_BYTES_MAX + 1).ok()).collect();
    assert_eq!(write().ok().await["results"].as_array().unwrap().len(), WRITES);
    assert_eq!(records().await, WRITES);
    drop((held, large));
}

#[tokio::test]
async fn health_is_shown_while_there_is_no_room_for_answers() {
    let pds = TestPds::start().await;
    let mut held = Vec::new();
    for n in 1..=200 {
        held.extend(fill_small(&pds, &format!("203.0.113.{n}"), 0));
    }
    let call = pds.xrpc_get("com.atproto.server.describeServer").header("x-forwarded-for", "203.0.113.1");
    assert_eq!(call.error().await.1, "NotEnoughResources");
    pds.xrpc_get("_health").header("x-forwarded-for", "203.0.113.1").ok().await;
}
