//! What is left out: accounts that were taken down or deleted.

use allod_atproto::{Did, frame::AccountStatus};
use allod_store::{ConflictKey, Txn, sql};
use allod_testkit::{Stream, TestPds};
use serde_json::json;

use super::{account_event, event, kind, tell};
use crate::seen;

/// Reads so many frames: their numbers and kinds.
async fn told(stream: &mut Stream, count: usize) -> Vec<(i64, &'static str)> {
    let mut all = Vec::new();
    for _ in 0..count {
        let frame = stream.frame().await;
        all.push((frame.seq.unwrap(), kind(&frame.message)));
    }
    all
}

async fn delete(pds: &TestPds, did: &Did) {
    let mut txn = Txn::new();
    txn.expect(ConflictKey::Test("there"), 1, sql!("DELETE FROM accounts WHERE did = $1", did.as_str()));
    txn.event(account_event(pds, did, AccountStatus::Deleted));
    pds.app().db.commit(txn).await.unwrap();
}

#[tokio::test]
async fn only_what_says_so_is_left_of_an_account_that_is_gone() {
    let pds = TestPds::start().await;
    // The ring has everything, and shows it only to those who were there.
    let mut live = pds.subscribe(None).await;
    let alice = pds.account("alice").await;
    let (bob, carol) = (pds.account("bob").await, pds.account("carol").await);
    seen::take_down(&pds, &bob.did).await;
    delete(&pds, &carol.did).await;
    tell(&pds, [event(&pds, &alice.did, 10)]).await;
    assert_eq!(live.seqs(15).await, (1..=15).collect::<Vec<_>>());

    // Of the account that is taken down only that, number 13, and of the one that is gone only its deletion, number 14:
    // no `#account` event that says they are active.
    let expected =
        [(1, "identity"), (2, "account"), (3, "commit"), (4, "sync"), (13, "account"), (14, "account"), (15, "sync")];
    assert_eq!(told(&mut pds.subscribe(Some(0)).await, 7).await, expected);
    assert_eq!(told(&mut pds.subscribe(Some(4)).await, 3).await, expected[4..]);

    // The newest events may all be hidden; what comes next follows.
    tell(&pds, [event(&pds, &bob.did, 10), event(&pds, &bob.did, 10)]).await;
    let mut stream = pds.subscribe(Some(15)).await;
    tell(&pds, [event(&pds, &alice.did, 10)]).await;
    assert_eq!(told(&mut stream, 1).await, [(18, "sync")]);
}

#[tokio::test]
async fn an_account_that_is_taken_up_again_is_shown_again() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(told(&mut pds.subscribe(Some(0)).await, 1).await, [(5, "account")]);
    let subject = json!({ "$type": "com.atproto.admin.defs#repoRef", "did": alice.did });
    seen::set_takedown(&pds, &subject, None).await;
    assert_eq!(pds.subscribe(Some(0)).await.seqs(4).await, [1, 2, 3, 4]);
}
