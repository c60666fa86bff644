//! Imports that are broken off, meet each other, or meet somebody who writes.

use std::time::Duration;

use allod_server::domain::{
    repos::import::{Import, ImportError},
    shares::{Crowded, Taker},
};
use allod_store::fault::Fault;
use allod_testkit::{Actor, TestPds};

use super::{super::create_post, Mover, check_nothing_left, made::Shown, nobodys_sets};
use crate::seen::refusal;

/// How long an import may take on a loaded machine.
const PATIENCE: Duration = Duration::from_mins(1);

/// Waits until the store has calls that hang.
async fn until_hanging(pds: &TestPds) {
    let hanging = async {
        while pds.store().hanging() == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, hanging).await.unwrap();
}

// Time stands still where commits are counted: the jobs' own would count too.

#[tokio::test]
async fn a_crash_between_portions_leaves_the_old_repository() {
    let mut pds = TestPds::start().await;
    let mut mover = Mover::new(&pds).await;
    let before = mover.imported(&pds, mover.file(&pds, &mover.made(10))).await;
    // The set's entry, two portions of 500, one of 1, the swap.
    for commits in 1..=5 {
        let call = mover.import(&pds, mover.file(&pds, &mover.made(1001)));
        pds.store().at_commit(commits, Fault::Hang);
        let sent = tokio::spawn(call.try_send());
        until_hanging(&pds).await;
        pds.crash().await;
        assert!(sent.await.unwrap().is_err(), "{commits}");
        assert_eq!(mover.shown(&pds).await.bytes, before.bytes, "{commits}");
        pds.do_jobs().await;
        // One was replaced by the first import; the others might still be under way.
        assert_eq!(nobodys_sets(&pds).await, i64::try_from(commits).unwrap(), "{commits}");
    }
    pds.advance(Duration::from_hours(1));
    pds.do_jobs().await;
    check_nothing_left(&pds).await;
    assert_eq!(mover.shown(&pds).await.bytes, before.bytes);
    mover.sign_in(&pds).await;
    assert_eq!(mover.imported(&pds, mover.file(&pds, &mover.made(1001))).await.entries.len(), 1001);
}

#[tokio::test]
async fn a_store_that_fails_leaves_the_old_repository() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let before = mover.imported(&pds, mover.file(&pds, &mover.made(10))).await;
    for commits in 1..=4 {
        pds.store().at_commit(commits, Fault::Fail);
        let (status, name, _) = mover.import(&pds, mover.file(&pds, &mover.made(600))).error().await;
        assert_eq!((status, name.as_str()), (503, "NotEnoughResources"), "{commits}");
        assert_eq!(mover.shown(&pds).await.bytes, before.bytes, "{commits}");
        // What was written is given up at once.
        pds.do_jobs().await;
        assert_eq!(nobodys_sets(&pds).await, 1, "the one that the first import replaced");
    }
    assert_eq!(mover.imported(&pds, mover.file(&pds, &mover.made(600))).await.entries.len(), 600);
}

#[tokio::test]
async fn a_set_that_may_be_the_repositorys_is_not_deleted() {
    for (fault, count) in [(Fault::UnknownLost, 10), (Fault::UnknownApplied, 600)] {
        let mut pds = TestPds::start().await;
        let mover = Mover::new(&pds).await;
        mover.imported(&pds, mover.file(&pds, &mover.made(10))).await;
        pds.store().at_commit(4, fault);
        let (status, name, _) = mover.import(&pds, mover.file(&pds, &mover.made(600))).error().await;
        assert_eq!((status, name.as_str()), (503, "NotEnoughResources"));
        pds.crash().await;
        pds.advance(Duration::from_hours(1));
        pds.do_jobs().await;
        check_nothing_left(&pds).await;
        assert_eq!(mover.shown(&pds).await.entries.len(), count);
    }
}

#[tokio::test]
async fn what_was_written_meanwhile_is_not_lost() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    mover.activate(&pds).await;
    let actor = Actor { did: mover.did().clone(), access: mover.access.clone(), ..pds.account("bob").await };
    let call = mover.import(&pds, mover.file(&pds, &mover.made(10)));
    pds.store().at_commit(2, Fault::Hang);
    let sent = tokio::spawn(call.error());
    until_hanging(&pds).await;
    create_post(&pds, &actor, "meanwhile").await;
    pds.store().release();
    let expected = refusal(400, "InvalidRequest", "The repository changed while it was imported; try again");
    assert_eq!(sent.await.unwrap(), expected);
    assert_eq!(mover.shown(&pds).await.entries.len(), 1);
    pds.do_jobs().await;
    check_nothing_left(&pds).await;
}

#[tokio::test]
async fn an_import_ends_though_its_client_has_gone() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let call = mover.import(&pds, mover.file(&pds, &mover.made(10)));
    pds.store().at_commit(2, Fault::Hang);
    let sent = tokio::spawn(call.try_send());
    until_hanging(&pds).await;
    sent.abort();
    let _ = sent.await;
    let again = mover.import(&pds, mover.file(&pds, &mover.made(1))).send().await;
    assert_eq!((again.status.as_u16(), again.headers["retry-after"].as_bytes()), (503, &b"30"[..]));
    let expected = "Another import of this repository is under way; try again when it is done";
    assert_eq!(again.json()["message"], expected);
    pds.store().release();
    let imported = async { while mover.shown(&pds).await.entries.is_empty() {} };
    tokio::time::timeout(PATIENCE, imported).await.unwrap();
    assert_eq!(mover.shown(&pds).await.entries.len(), 10);
}

#[tokio::test]
async fn only_so_many_at_once() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let mut held = Vec::new();
    loop {
        let number = u8::try_from(held.len()).unwrap();
        let did = format!("did:plc:{:a>24}", ["a", "b", "c", "d", "e"][held.len()]);
        let did = allod_atproto::Did::parse(&did).unwrap();
        let taker = Taker::new(std::net::IpAddr::from([192, 0, 2, number]), Some(did.clone()));
        match Import::begin(pds.app(), &did, &taker, None).await {
            Ok(import) => held.push(import),
            Err(error) => {
                assert!(matches!(error, ImportError::Crowded(Crowded::Server)), "{error}");
                break;
            }
        }
    }
    assert_eq!(held.len(), 4);
    let file = mover.file(&pds, &mover.made(1));
    let refused = mover.import(&pds, file.clone()).error().await;
    assert_eq!(refused, refusal(503, "NotEnoughResources", "Too many imports at the moment; try again"));
    held.pop();
    let shown: Shown = mover.imported(&pds, file).await;
    assert_eq!(shown.entries.len(), 1);
    drop(held);
    check_nothing_left_on_disk(&pds);
}

fn check_nothing_left_on_disk(pds: &TestPds) {
    assert_eq!(std::fs::read_dir(pds.imports()).unwrap().count(), 0);
}
