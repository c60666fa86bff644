//! How a stream ends.

use std::time::Duration;

use allod_server::domain::firehose::seats::Form;
use allod_testkit::{TestPds, Told};
use futures_util::{SinkExt, StreamExt};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Message, protocol::CloseFrame};

use super::{event, tell};

#[tokio::test]
async fn a_consumer_that_falls_behind_the_ring_is_let_go() {
    let pds = TestPds::options().config(|config| config.firehose.ring_bytes_max = 256 * 1024).start().await;
    let alice = pds.account("alice").await;
    let (mut slow, mut quick) = (pds.subscribe(None).await, pds.subscribe(None).await);
    tell(&pds, [event(&pds, &alice.did, 10)]).await;
    assert_eq!((slow.seqs(1).await, quick.seqs(1).await), (vec![5], vec![5]));
    // More than the sockets' buffers on both sides hold.
    for seq in 6..=200 {
        tell(&pds, [event(&pds, &alice.did, 100_000)]).await;
        assert_eq!(quick.seqs(1).await, [seq]);
    }
    // What was on its way comes, whole and in order; then it is told why there is no more.
    let mut seq = 5;
    let told = loop {
        let told = slow.frame().await;
        let Some(number) = told.seq else { break told };
        seq += 1;
        assert_eq!(number, seq);
    };
    assert!(seq < 200, "nothing was lost to it");
    let expected = allod_atproto::frame::Error {
        error: "ConsumerTooSlow".to_owned(),
        message: Some("Stream consumer too slow".to_owned()),
    };
    assert_eq!(told.message, allod_atproto::frame::Message::Error(expected));
    assert_eq!(slow.next().await, Told::Close(1008, "ConsumerTooSlow".to_owned()));
    // It comes back where it was.
    let rest: Vec<i64> = (seq + 1..=200).collect();
    assert_eq!(pds.subscribe(Some(seq)).await.seqs(rest.len()).await, rest);
}

#[tokio::test]
async fn the_servers_stop_is_told_and_waits_for_nobody() {
    let mut pds = TestPds::start().await;
    pds.account("alice").await;
    let mut streams = Vec::new();
    for cursor in [None, Some(0), Some(4)] {
        streams.push(pds.subscribe(cursor).await);
    }
    assert_eq!(streams[1].seqs(4).await, [1, 2, 3, 4]);
    let reading = tokio::spawn(async move {
        for stream in &mut streams {
            assert_eq!(stream.next().await, Told::Close(1001, String::new()));
        }
    });
    let stopping = Instant::now();
    // The server runs in a thread of its own; this one must go on reading.
    let pds = tokio::task::spawn_blocking(move || {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            pds.restart().await;
            pds
        })
    })
    .await
    .unwrap();
    reading.await.unwrap();
    assert!(stopping.elapsed() < Duration::from_secs(10), "the stop took {:?}", stopping.elapsed());
    assert!(pds.app().firehose.listeners().is_empty());
}

#[tokio::test]
async fn a_consumer_may_close_and_is_forgotten() {
    let pds = TestPds::start().await;
    let mut stream = pds.subscribe(None).await;
    assert_eq!(pds.app().firehose.listeners().len(), 1);
    let close = CloseFrame { code: 4321.into(), reason: "enough".into() };
    stream.socket().send(Message::Close(Some(close))).await.unwrap();
    assert_eq!(stream.next().await, Told::Close(4321, String::new()));
    assert_eq!(stream.next().await, Told::Gone);

    // Without a word.
    drop(pds.subscribe(None).await);
    let mut count = pds.app().firehose.listener_count(Form::Frames);
    tokio::time::timeout(Duration::from_secs(10), count.wait_for(|count| *count == 0)).await.unwrap().unwrap();
}

#[tokio::test]
async fn what_a_consumer_says_is_answered_or_ignored() {
    let pds = TestPds::start().await;
    let mut stream = pds.subscribe(None).await;
    stream.send("hello").await;
    stream.socket().send(Message::binary(vec![0; 10_000])).await.unwrap();
    stream.socket().send(Message::Ping("there?".into())).await.unwrap();
    assert_eq!(stream.socket().next().await.unwrap().unwrap(), Message::Pong("there?".into()));
    pds.account("alice").await;
    assert_eq!(stream.seqs(4).await, [1, 2, 3, 4]);

    stream.socket().send(Message::binary(vec![0; 1024 * 1024 + 1])).await.unwrap();
    assert_eq!(stream.next().await, Told::Close(1009, String::new()));
}
