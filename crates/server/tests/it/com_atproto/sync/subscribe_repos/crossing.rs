//! From the log to the ring, while events come.

use allod_store::Txn;
use allod_testkit::{Stream, TestPds};
use futures_util::future::join_all;

use super::event;

/// Events before the streams open, and while they do.
const BEFORE: i64 = 3_000;
const MEANWHILE: i64 = 3_000;
/// How many events one transaction has; the writers' differ.
const EACH: [usize; 4] = [1, 3, 10, 40];

/// Reads everything behind a cursor, and finds each number once and in order.
async fn read_all(mut stream: Stream, after: i64, upto: i64) {
    for seq in after + 1..=upto {
        assert_eq!(stream.frame().await.seq, Some(seq), "a stream after {after}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_missing_and_nothing_comes_twice() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let write = async |count: i64, each: usize, bytes: usize| {
        let mut left = usize::try_from(count).unwrap();
        while left > 0 {
            let mut txn = Txn::new();
            for _ in 0..each.min(left) {
                txn.event(event(&pds, &alice.did, bytes));
            }
            left -= each.min(left);
            pds.app().db.commit(txn).await.unwrap();
        }
    };
    write(BEFORE, 500, 100).await;
    let newest = BEFORE + 4;
    let writers = join_all(EACH.map(|each| write(MEANWHILE / 4, each, 300)));
    let readers = async {
        let mut tasks = Vec::new();
        for n in 0..24 {
            // Some far back, some at the end of what there was, some whenever their turn comes.
            let after = match n % 3 {
                0 => n * 120,
                1 => newest - n,
                _ => *pds.app().db.watch().borrow(),
            };
            let stream = pds.subscribe(Some(after)).await;
            tasks.push(tokio::spawn(read_all(stream, after, newest + MEANWHILE)));
        }
        for task in tasks {
            task.await.unwrap();
        }
    };
    tokio::join!(writers, readers);
}

#[tokio::test]
async fn a_raised_sequence_is_no_gap() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let mut live = pds.subscribe(None).await;
    pds.app().db.raise_sequence(1_000_000).await.unwrap();
    let mut after = pds.subscribe(Some(4)).await;
    super::tell(&pds, [event(&pds, &alice.did, 10), event(&pds, &alice.did, 10)]).await;
    for stream in [&mut live, &mut after, &mut pds.subscribe(Some(3)).await] {
        let mut seqs = stream.seqs(2).await;
        if seqs[0] == 4 {
            seqs = [&seqs[1..], &stream.seqs(1).await].concat();
        }
        assert_eq!(seqs, [1_000_001, 1_000_002]);
    }
}
