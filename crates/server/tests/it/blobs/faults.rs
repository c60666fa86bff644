//! What failing disks, failing stores, broken connections and crashes leave of an upload: a whole blob or nothing.

use std::io;

use allod_atproto::Cid;
use allod_blobstore::disk::DiskStep;
use allod_store::fault::Fault;
use allod_testkit::TestPds;
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use super::{UNREFERENCED, UPLOAD, content, files, files_become, get, refer, row, upload, uploaded, usage};

#[tokio::test]
async fn a_disk_that_fails_is_told_as_such_and_leaves_nothing() {
    use DiskStep::{Create, Rename, SyncFile, SyncFolder, Write};

    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let bytes = content(1, 1_000_000);
    let cid = Cid::for_raw(&bytes);
    for (step, passes) in [(Create, 0), (Write, 0), (Write, 3), (SyncFile, 0), (Rename, 0), (SyncFolder, 0)] {
        pds.disk().fail(step, passes, io::ErrorKind::StorageFull);
        let refused = upload(&pds, &alice, "text/plain", bytes.clone()).send().await;
        assert_eq!(refused.status.as_u16(), 503, "{step:?}");
        assert_eq!(refused.json()["error"], "NotEnoughResources");
        assert_eq!(refused.json()["message"], "The server has no room left for blobs; try again later");
        assert_eq!(refused.headers["retry-after"], "60");
        pds.disk().fail(step, passes, io::ErrorKind::Other);
        let (status, name, _) = upload(&pds, &alice, "text/plain", bytes.clone()).error().await;
        assert_eq!((status, name.as_str()), (503, "NotEnoughResources"));
        assert_eq!(pds.logged_errors().len(), 1);
        pds.disk().clear();
        files_become(&pds, 0).await;
        assert_eq!((row(&pds, &alice.did, &cid).await, usage(&pds, &alice.did).await), (None, 0));
    }
    uploaded(&pds, &alice, &bytes).await;
    refer(&pds, &alice.did, "a", 1, &[cid]).await;
    pds.disk().fail(DiskStep::Read, 0, io::ErrorKind::Other);
    let (status, name, _) = get(&pds, &alice.did, &cid).error().await;
    assert_eq!((status, name.as_str(), pds.logged_errors().len()), (503, "NotEnoughResources", 1));
    // After the first piece nothing can be said any more: the connection breaks.
    pds.disk().fail(DiskStep::Read, 2, io::ErrorKind::Other);
    assert!(get(&pds, &alice.did, &cid).try_send().await.is_err());
}

#[tokio::test]
async fn a_store_that_fails_leaves_a_whole_blob_or_nothing() {
    for (fault, status) in [(Fault::Fail, 503), (Fault::UnknownLost, 503), (Fault::UnknownApplied, 503)] {
        let mut pds = TestPds::start().await;
        let alice = pds.account("alice").await;
        pds.store().at_commit(1, fault);
        let refused = upload(&pds, &alice, "text/plain", "some text").send().await;
        assert_eq!(refused.status.as_u16(), status, "{fault:?}");
        pds.crash().await;
        let cid = Cid::for_raw(b"some text");
        let is_stored = row(&pds, &alice.did, &cid).await.is_some();
        assert_eq!(is_stored, fault == Fault::UnknownApplied, "{fault:?}");
        if fault == Fault::Fail {
            files_become(&pds, 0).await;
        }
        if is_stored {
            refer(&pds, &alice.did, "a", 1, &[cid]).await;
            assert_eq!(get(&pds, &alice.did, &cid).send().await.body, "some text");
        }
        // What is in doubt is found by the sweep.
        pds.advance(UNREFERENCED + UNREFERENCED);
        pds.app().blobs.sweep().await.unwrap();
        files_become(&pds, usize::from(is_stored)).await;
        assert_eq!(usage(&pds, &alice.did).await, if is_stored { 9 } else { 0 });
    }
}

#[tokio::test]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for pieces in [0, 1, 5] {
        let sent = stream::iter((0..pieces).map(|n| Ok(Bytes::from(content(n, 200_000)))));
        let broken = sent.chain(stream::iter([Err(io::ErrorKind::BrokenPipe.into())]));
        let call = pds.xrpc_post(UPLOAD).bearer(&alice.access).stream("text/plain", broken);
        assert!(call.try_send().await.is_err());
        files_become(&pds, 0).await;
    }
    assert_eq!(usage(&pds, &alice.did).await, 0);
    uploaded(&pds, &alice, b"the server goes on").await;
}

#[tokio::test]
async fn a_crash_during_an_upload_leaves_nothing_after_the_next_start() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let endless = stream::iter((0..4).map(|n| Ok(Bytes::from(content(n, 300_000))))).chain(stream::pending());
    let call = pds.xrpc_post(UPLOAD).bearer(&alice.access).stream("text/plain", endless);
    let sending = tokio::spawn(call.try_send());
    files_become(&pds, 1).await;
    pds.crash().await;
    assert!(sending.await.unwrap().is_err());
    files_become(&pds, 0).await;
    assert_eq!(usage(&pds, &alice.did).await, 0);
}

#[tokio::test]
async fn a_crash_between_the_object_and_its_row_leaves_nothing_in_the_end() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    pds.store().at_commit(1, Fault::Hang);
    let call = upload(&pds, &alice, "text/plain", "some text");
    let sending = tokio::spawn(call.try_send());
    files_become(&pds, 1).await;
    while pds.store().hanging() == 0 {
        tokio::task::yield_now().await;
    }
    pds.crash().await;
    assert!(sending.await.unwrap().is_err());
    assert_eq!(row(&pds, &alice.did, &Cid::for_raw(b"some text")).await, None);
    // The same bytes again are a blob of their own.
    let cid = uploaded(&pds, &alice, b"some text").await;
    refer(&pds, &alice.did, "a", 1, &[cid]).await;
    files_become(&pds, 2).await;
    pds.advance(UNREFERENCED + UNREFERENCED);
    pds.app().blobs.sweep().await.unwrap();
    files_become(&pds, 1).await;
    assert_eq!(get(&pds, &alice.did, &cid).send().await.body, "some text");
}

#[tokio::test]
async fn what_was_acknowledged_survives_a_crash() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let bytes = content(9, 2_000_000);
    let cid = uploaded(&pds, &alice, &bytes).await;
    pds.crash().await;
    refer(&pds, &alice.did, "a", 1, &[cid]).await;
    pds.crash().await;
    assert!(get(&pds, &alice.did, &cid).send().await.body == bytes);
}

#[tokio::test]
async fn bytes_that_were_lost_are_told_of_and_brought_back_by_an_upload() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let cid = uploaded(&pds, &alice, b"precious").await;
    refer(&pds, &alice.did, "a", 1, &[cid]).await;
    for damage in
        [|path: &std::path::Path| std::fs::remove_file(path), |path: &std::path::Path| std::fs::write(path, b"prec")]
    {
        damage(&files(&pds)[0]).unwrap();
        let (status, name, _) = get(&pds, &alice.did, &cid).error().await;
        assert_eq!((status, name.as_str(), pds.logged_errors().len()), (400, "BlobNotFound", 1));
        uploaded(&pds, &alice, b"precious").await;
        assert_eq!(get(&pds, &alice.did, &cid).send().await.body, "precious");
    }
    assert_eq!(usage(&pds, &alice.did).await, 8);
}
