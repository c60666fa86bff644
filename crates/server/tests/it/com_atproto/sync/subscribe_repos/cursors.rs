//! Where a stream begins.

use std::time::Duration;

use allod_atproto::frame::{self, Message};
use allod_testkit::{Stream, TestPds, Told};

use super::{PATH, kind, refusal};

const DAY: Duration = Duration::from_hours(24);

/// The next message's bytes.
async fn bytes(stream: &mut Stream) -> Vec<u8> {
    match stream.next().await {
        Told::Binary(bytes) => bytes.to_vec(),
        other @ (Told::Text(_) | Told::Close(..) | Told::Gone) => panic!("not a message: {other:?}"),
    }
}

#[tokio::test]
async fn without_a_cursor_only_what_is_new() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    let mut stream = pds.subscribe(None).await;
    let mut empty = pds.stream(&format!("{PATH}?cursor="), &[]).await.unwrap();
    let bob = pds.account("bob").await;
    let mut kinds = Vec::new();
    for seq in 5..=8 {
        let told = stream.frame().await;
        assert_eq!(told.seq, Some(seq));
        kinds.push(kind(&told.message));
        if let Message::Account(account) = told.message {
            assert_eq!((account.did, account.active), (bob.did.clone(), true));
        }
    }
    assert_eq!(kinds, ["identity", "account", "commit", "sync"]);
    assert_eq!(empty.seqs(4).await, [5, 6, 7, 8]);
}

#[tokio::test]
async fn from_the_oldest_from_between_and_from_the_newest() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    pds.account("bob").await;
    let frames: Vec<_> = pds.events().await.into_iter().map(|(_, frame)| frame).collect();
    for (cursor, first) in [(0, 1), (-1, 1), (1 - (1 << 53), 1), (1, 2), (3, 4), (7, 8)] {
        let mut stream = pds.subscribe(Some(cursor)).await;
        for frame in &frames[first - 1..] {
            assert_eq!(&stream.frame().await, frame, "after {cursor}");
        }
    }
    let mut newest = pds.subscribe(Some(8)).await;
    pds.account("carol").await;
    assert_eq!(newest.seqs(4).await, [9, 10, 11, 12]);
}

#[tokio::test]
async fn not_from_the_future() {
    let pds = TestPds::start().await;
    refusal(&mut pds.subscribe(Some(1)).await, "FutureCursor", "Cursor in the future.").await;
    pds.account("alice").await;
    for cursor in [5, (1 << 53) - 1] {
        refusal(&mut pds.subscribe(Some(cursor)).await, "FutureCursor", "Cursor in the future.").await;
    }
}

#[tokio::test]
async fn not_from_what_is_no_number() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    for cursor in ["abc", "1.5", "0x1", "1e3", "99999999999999999999999"] {
        let mut stream = pds.stream(&format!("{PATH}?cursor={cursor}"), &[]).await.unwrap();
        let Message::Error(error) = stream.frame().await.message else { panic!("{cursor} is taken") };
        assert_eq!(error.error, "InvalidRequest", "{cursor}");
        let message = error.message.unwrap();
        assert!(message.contains("params: Expected integer value type (got "), "{message}");
        assert_eq!(stream.next().await, Told::Close(1008, "InvalidRequest".to_owned()));
    }
}

#[tokio::test]
async fn an_outdated_one_is_told_and_gets_all_there_is() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    pds.advance(2 * DAY);
    pds.account("bob").await;
    pds.do_jobs().await;
    assert_eq!(pds.subscribe(Some(1)).await.seqs(7).await, [2, 3, 4, 5, 6, 7, 8]);

    // The first day is now more than the retention ago, the third is not.
    pds.advance(2 * DAY);
    pds.do_jobs().await;
    let info = frame::Info {
        name: "OutdatedCursor".to_owned(),
        message: Some("Requested cursor exceeded limit. Possibly missing events".to_owned()),
    };
    for cursor in [1, 3] {
        let mut stream = pds.subscribe(Some(cursor)).await;
        let told = stream.frame().await;
        assert_eq!((told.seq, told.message), (None, Message::Info(info.clone())), "after {cursor}");
        assert_eq!(stream.seqs(4).await, [5, 6, 7, 8]);
    }
    for (cursor, seqs) in [(0, vec![5, 6, 7, 8]), (4, vec![5, 6, 7, 8]), (6, vec![7, 8])] {
        assert_eq!(pds.subscribe(Some(cursor)).await.seqs(seqs.len()).await, seqs, "after {cursor}");
    }

    // Nothing is left.
    pds.advance(10 * DAY);
    pds.do_jobs().await;
    assert!(pds.events().await.is_empty());
    let (mut outdated, mut newest) = (pds.subscribe(Some(7)).await, pds.subscribe(Some(8)).await);
    let mut oldest = pds.subscribe(Some(0)).await;
    assert_eq!(outdated.frame().await.message, Message::Info(info));
    pds.account("carol").await;
    for stream in [&mut outdated, &mut newest, &mut oldest] {
        assert_eq!(stream.seqs(4).await, [9, 10, 11, 12]);
    }
}

#[tokio::test]
async fn the_same_after_a_restart_and_after_a_crash() {
    let mut pds = TestPds::start().await;
    pds.account("alice").await;
    let mut first = Vec::new();
    let mut stream = pds.subscribe(Some(0)).await;
    for _ in 0..4 {
        first.push(bytes(&mut stream).await);
    }
    for round in 0..4 {
        if round % 2 == 0 {
            pds.restart().await;
        } else {
            pds.crash().await;
        }
        let mut stream = pds.subscribe(Some(0)).await;
        for (seq, expected) in first.iter().enumerate() {
            assert_eq!(&bytes(&mut stream).await, expected, "message {seq} after {round}");
        }
        let next = 5 + 4 * round;
        pds.account(&format!("user{round}")).await;
        let all: Vec<i64> = (5..next + 4).collect();
        assert_eq!(stream.seqs(all.len()).await, all);
    }
}

#[tokio::test]
async fn numbers_that_no_event_had_are_not_missed() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    pds.advance(10 * DAY);
    pds.do_jobs().await;
    assert!(pds.events().await.is_empty());
    // As a server does at each start.
    pds.app().db.raise_sequence(1_000_000).await.unwrap();
    let mut streams = Vec::new();
    for cursor in [4, 5, 999_999, 1_000_000] {
        streams.push(pds.subscribe(Some(cursor)).await);
    }
    let mut outdated = pds.subscribe(Some(3)).await;
    assert!(matches!(outdated.frame().await.message, Message::Info(_)));
    streams.push(outdated);
    pds.account("bob").await;
    for stream in &mut streams {
        assert_eq!(stream.seqs(4).await, [1_000_001, 1_000_002, 1_000_003, 1_000_004]);
    }
}

#[tokio::test]
async fn one_from_the_future_is_shown_to_the_operator_until_it_is_none() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    for cursor in [900, 800] {
        refusal(&mut pds.subscribe(Some(cursor)).await, "FutureCursor", "Cursor in the future.").await;
    }
    let ahead = pds.app().firehose.ahead();
    let seen: Vec<_> = ahead.iter().map(|ahead| (ahead.cursor, ahead.times)).collect();
    assert_eq!(seen, [(800, 2)], "one entry for an address");
    pds.app().db.raise_sequence(799).await.unwrap();
    assert_eq!(pds.app().firehose.ahead().len(), 1);
    pds.app().db.raise_sequence(800).await.unwrap();
    assert!(pds.app().firehose.ahead().is_empty());
}
