//! A panic ends what it happens in, and nothing else: the request, the write, the job.

use std::time::Duration;

use allod_server::limits::JOB_RESTART_SECS_MAX;
use allod_store::fault::Fault;
use allod_testkit::{Actor, Stream, TestPds};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::seen::refusal;

const COLLECTION: &str = "com.example.note";

fn note(actor: &Actor, text: &str) -> Value {
    json!({ "repo": actor.did, "collection": COLLECTION, "record": { "$type": COLLECTION, "text": text } })
}

async fn create(pds: &TestPds, actor: &Actor, text: &str) -> u16 {
    let call = pds.xrpc_post("com.atproto.repo.createRecord").bearer(&actor.access).json(&note(actor, text));
    call.send().await.status.as_u16()
}

#[tokio::test]
async fn a_request_that_panics_is_answered_and_the_next_one_is_served() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    // A job may read first and have the panic for itself.
    for _ in 0..20 {
        pds.store().at_read(1, Fault::Panic);
        let list = pds.xrpc_get("com.atproto.repo.describeRepo").param("repo", &alice.did);
        let reply = list.header("origin", "https://app.example.com").send().await;
        pds.store().clear();
        if reply.status == 200 {
            continue;
        }
        assert_eq!(reply.status, 500);
        let expected = refusal(500, "InternalServerError", "Internal Server Error");
        assert_eq!(
            (reply.json()["error"].as_str(), reply.json()["message"].as_str()),
            (Some(&*expected.1), Some(&*expected.2))
        );
        assert_eq!(reply.headers["access-control-allow-origin"], "*", "a browser may read it");
        assert!(pds.logged_errors().iter().any(|line| line.contains("handler panicked")));
        pds.xrpc_get("com.atproto.repo.describeRepo").param("repo", &alice.did).ok().await;
        return;
    }
    panic!("no request panicked");
}

#[tokio::test]
async fn a_write_that_panics_fails_alone() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(create(&pds, &alice, "before").await, 200);
    let mut failed = 0;
    for round in 0..20 {
        pds.store().at_commit(1, Fault::Panic);
        let writes = (0..4).map(|n| create(&pds, &alice, if n % 2 == 0 { "even" } else { "odd" }));
        let statuses = join_all(writes).await;
        pds.store().clear();
        assert!(statuses.iter().all(|status| [200, 500, 503].contains(status)), "{round}: {statuses:?}");
        failed += statuses.iter().filter(|status| **status != 200).count();
        assert_eq!(create(&pds, &alice, "after").await, 200, "the repository is written to again");
    }
    assert!(failed > 0, "nothing panicked");
    // The repository, every event and the head are checked when the server is dropped.
    let _ = pds.logged_errors();
}

#[tokio::test]
async fn a_firehose_that_panics_goes_on_without_a_gap() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let url = format!("{}/xrpc/com.atproto.sync.subscribeRepos", pds.url().replacen("http", "ws", 1));
    let mut stream = Stream::open(&url, &[]).await.unwrap();
    assert_eq!(create(&pds, &alice, "first").await, 200);
    let mut last = stream.seqs(1).await[0];
    for _ in 0..3 {
        pds.store().at_events(Fault::Panic);
        assert_eq!(create(&pds, &alice, "with a panic").await, 200);
        let panicked = async {
            while !pds.logged_errors().iter().any(|line| line.contains("firehose")) {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), panicked).await.expect("the firehose panics");
        // However long the job waits before it starts again, it is over.
        pds.advance(Duration::from_secs(JOB_RESTART_SECS_MAX));
        assert_eq!(create(&pds, &pds.sign_in("alice").await, "after it").await, 200);
        assert_eq!(stream.seqs(2).await, [last + 1, last + 2]);
        last += 2;
    }
    let _ = pds.logged_errors();
}
