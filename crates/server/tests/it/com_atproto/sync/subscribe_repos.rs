//! `com.atproto.sync.subscribeRepos`.

mod crossing;
mod cursors;
mod ends;
mod handshake;
mod hidden;

use allod_atproto::{
    Datetime, Did, Tid,
    frame::{self, EncodedFrame, Message},
};
use allod_store::{EventKind, NewEvent, Txn};
use allod_testkit::{Stream, TestPds, Told};
use bytes::Bytes;

const PATH: &str = "/xrpc/com.atproto.sync.subscribeRepos";

/// An event about an account, as large as wanted.
fn event(pds: &TestPds, did: &Did, bytes: usize) -> NewEvent {
    pds.arranges_the_impossible();
    let now = allod_base::clock::Clock::now_micros(pds.clock());
    let time = Datetime::from_unix_micros(now);
    let rev = Tid::next(None, now, 0);
    let sync = frame::Sync { did: did.clone(), rev, blocks: Bytes::from(vec![7; bytes]), time };
    stored(did, EventKind::Sync, frame::sync(&sync), now)
}

/// An event about an account's status.
fn account_event(pds: &TestPds, did: &Did, status: frame::AccountStatus) -> NewEvent {
    pds.arranges_the_impossible();
    let now = allod_base::clock::Clock::now_micros(pds.clock());
    let time = Datetime::from_unix_micros(now);
    let account = frame::Account { did: did.clone(), active: false, status: Some(status), time };
    stored(did, EventKind::Account, frame::account(&account), now)
}

fn stored(did: &Did, kind: EventKind, frame: EncodedFrame, now: u64) -> NewEvent {
    NewEvent {
        did: did.to_string(),
        kind,
        time_micros: i64::try_from(now).unwrap(),
        before: frame.before,
        after: frame.after,
    }
}

/// Tells the network something.
async fn tell(pds: &TestPds, events: impl IntoIterator<Item = NewEvent>) {
    let mut txn = Txn::new();
    events.into_iter().for_each(|event| txn.event(event));
    pds.app().db.commit(txn).await.unwrap();
}

/// What a stream must end with: an error message of this name and text, and a close that repeats the name.
async fn refusal(stream: &mut Stream, name: &str, message: &str) {
    let told = stream.frame().await;
    let expected = frame::Error { error: name.to_owned(), message: Some(message.to_owned()) };
    assert_eq!((told.seq, told.message), (None, Message::Error(expected)));
    assert_eq!(stream.next().await, Told::Close(1008, name.to_owned()));
}

/// The name of a frame's message type.
fn kind(message: &Message) -> &'static str {
    match message {
        Message::Commit(_) => "commit",
        Message::Sync(_) => "sync",
        Message::Identity(_) => "identity",
        Message::Account(_) => "account",
        Message::Info(_) => "info",
        Message::Error(_) => "error",
        Message::Other { .. } => "other",
    }
}
