//! What the network is told of a new account.

use allod_atproto::{
    car,
    did_doc::DidDocument,
    frame::Message,
    repo::{SignedCommit, Tree},
};
use allod_testkit::TestPds;

use super::{created, did_of, person};

#[tokio::test]
async fn identity_account_commit_and_sync_in_one_run() {
    let pds = TestPds::start().await;
    let alice = created(&pds, &person("alice")).await;
    let did = did_of(&alice);
    let key = DidDocument::from_json(alice["didDoc"].clone(), &did).unwrap().signing_key().unwrap();

    let events = pds.events().await;
    let numbers: Vec<i64> = events.iter().map(|(event, _)| event.seq).collect();
    assert_eq!(numbers, [1, 2, 3, 4]);
    assert!(events.iter().all(|(event, frame)| frame.seq == Some(event.seq) && event.did == did.as_str()));
    let messages: Vec<_> = events.into_iter().map(|(_, frame)| frame.message).collect();
    let [Message::Identity(identity), Message::Account(account), Message::Commit(commit), Message::Sync(sync)] =
        messages.as_slice()
    else {
        panic!("{messages:?}");
    };

    assert_eq!((&identity.did, identity.handle.as_ref().unwrap().as_str()), (&did, "alice.test"));
    assert_eq!((&account.did, account.active, account.status), (&did, true, None));
    assert_eq!((&commit.repo, &commit.since, commit.ops.len(), commit.prev_data), (&did, &None, 0, None));
    assert_eq!(identity.time.as_str(), "2026-01-01T00:00:00.000Z");

    let blocks = car::read(&commit.blocks, &car::Limits::COMMIT).unwrap();
    let block = blocks.get(&commit.commit).unwrap();
    let signed = SignedCommit::parse(block).unwrap();
    signed.verify(&key).unwrap();
    assert_eq!((&signed.commit().did, &signed.commit().rev, signed.commit().prev), (&did, &commit.rev, None));
    assert_eq!(signed.commit().data, Tree::empty().root());
    assert!(blocks.get(&Tree::empty().root()).is_some(), "the empty tree's node is there");
    assert_eq!((blocks.root(), blocks.len()), (Some(commit.commit), 2));

    let blocks = car::read(&sync.blocks, &car::Limits::COMMIT).unwrap();
    assert_eq!((&sync.did, &sync.rev, blocks.len()), (&did, &commit.rev, 1));
    assert_eq!(blocks.get(&commit.commit), Some(block));
}

#[tokio::test]
async fn the_next_account_follows_without_a_gap() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let events = pds.events().await;
    let seen: Vec<(i64, &str)> = events.iter().map(|(event, _)| (event.seq, event.did.as_str())).collect();
    let expected: Vec<(i64, &str)> =
        (1..=4).map(|seq| (seq, alice.did.as_str())).chain((5..=8).map(|seq| (seq, bob.did.as_str()))).collect();
    assert_eq!(seen, expected);
}
