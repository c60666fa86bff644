//! What goes when its time is over, and what stays.

use std::{fs, time::Duration};

use allod_blobstore::objects::{Folder, object_name};
use allod_server::domain::blobs::collect::Swept;
use allod_store::{ConflictKey, Touched, Txn, sql};
use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::{
    UNREFERENCED, cid_of, dereference, files_become, get, refer, refer_missing, row, signed_in, take_down, upload,
    uploaded, usage,
};
use crate::seen::refusal;

const SECOND: Duration = Duration::from_secs(1);
/// A second less than a blob is kept without a record.
const ALMOST: Duration = Duration::from_secs(UNREFERENCED.as_secs() - 1);

#[tokio::test]
async fn a_blob_without_a_record_goes_after_six_hours_and_one_with_a_record_stays() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let used = uploaded(&pds, &alice, b"used").await;
    let unused = uploaded(&pds, &alice, b"never used").await;
    refer(&pds, &alice.did, "a", 1, &[used]).await;
    pds.advance(ALMOST);
    pds.do_jobs().await;
    files_become(&pds, 2).await;
    pds.advance(SECOND);
    pds.do_jobs().await;
    assert_eq!(row(&pds, &alice.did, &unused).await, None);
    files_become(&pds, 1).await;
    assert_eq!(usage(&pds, &alice.did).await, 4);
    assert_eq!(get(&pds, &alice.did, &used).send().await.body, "used");

    dereference(&pds, &alice.did, "a").await;
    assert_eq!(get(&pds, &alice.did, &used).error().await, refusal(400, "BlobNotFound", "Blob not found"));
    pds.advance(ALMOST);
    pds.do_jobs().await;
    files_become(&pds, 1).await;
    refer(&pds, &alice.did, "b", 2, &[used]).await;
    pds.advance(UNREFERENCED);
    pds.do_jobs().await;
    assert_eq!(get(&pds, &alice.did, &used).send().await.body, "used", "it was referred to again in time");

    dereference(&pds, &alice.did, "b").await;
    pds.advance(UNREFERENCED);
    pds.do_jobs().await;
    files_become(&pds, 0).await;
    assert_eq!(usage(&pds, &alice.did).await, 0);
}

#[tokio::test]
async fn a_post_s_picture_is_shown_while_the_post_is_there() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let picture = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR";
    let answer = upload(&pds, &alice, "image/png", picture.to_vec()).ok().await;
    let cid = cid_of(&answer);
    let post = |image: &Value| {
        json!({
            "repo": alice.did,
            "collection": "app.bsky.feed.post",
            "rkey": "3jzfcijpj2z2a",
            "record": {
                "$type": "app.bsky.feed.post",
                "text": "look",
                "createdAt": "2026-11-25T12:00:00.000Z",
                "embed": { "$type": "app.bsky.embed.images", "images": [{ "alt": "", "image": image }] },
            },
        })
    };
    let write = |method: &str, body: &Value| {
        pds.xrpc_post(&format!("com.atproto.repo.{method}")).bearer(&alice.access).json(body)
    };
    for (field, value, name) in
        [("mimeType", json!("image/jpeg"), "InvalidMimeType"), ("size", json!(1), "InvalidSize")]
    {
        let mut image = answer["blob"].clone();
        image[field] = value;
        assert_eq!(write("createRecord", &post(&image)).error().await.1, name);
    }
    write("createRecord", &post(&answer["blob"])).ok().await;
    assert_eq!(get(&pds, &alice.did, &cid).send().await.headers["content-type"], "image/png");
    let list = || pds.xrpc_get("com.atproto.sync.listBlobs").param("did", &alice.did);
    assert_eq!(list().ok().await, json!({ "cids": [cid.to_string()] }));
    // The record is written anew with the same picture, then without.
    let mut again = post(&answer["blob"]);
    again["record"]["text"] = json!("look again");
    write("putRecord", &again).ok().await;
    assert_eq!(get(&pds, &alice.did, &cid).send().await.body, &picture[..]);
    again["record"].as_object_mut().unwrap().remove("embed");
    write("putRecord", &again).ok().await;
    assert_eq!(get(&pds, &alice.did, &cid).error().await.1, "BlobNotFound");
    write("putRecord", &post(&answer["blob"])).ok().await;
    assert_eq!(get(&pds, &alice.did, &cid).send().await.body, &picture[..]);
    let path = json!({ "repo": alice.did, "collection": "app.bsky.feed.post", "rkey": "3jzfcijpj2z2a" });
    write("deleteRecord", &path).ok().await;
    assert_eq!(get(&pds, &alice.did, &cid).error().await.1, "BlobNotFound");
    assert_eq!(list().ok().await, json!({ "cids": [] }));
    take_down(&pds, &alice.did, &cid, Some("a report")).await;
    let refused = write("createRecord", &post(&answer["blob"])).error().await;
    assert_eq!(refused, refusal(400, "BlobNotFound", &format!("Could not find blob: {cid}")));
    take_down(&pds, &alice.did, &cid, None).await;
    pds.advance(UNREFERENCED);
    pds.do_jobs().await;
    files_become(&pds, 0).await;
}

#[tokio::test]
async fn an_upload_again_begins_the_time_anew() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let cid = uploaded(&pds, &alice, b"twice").await;
    let first = row(&pds, &alice.did, &cid).await.unwrap();
    pds.advance(ALMOST);
    let alice = signed_in(&pds, &alice).await;
    uploaded(&pds, &alice, b"twice").await;
    let second = row(&pds, &alice.did, &cid).await.unwrap();
    assert_eq!(second.object, first.object);
    files_become(&pds, 1).await;
    assert_eq!(usage(&pds, &alice.did).await, 5);
    pds.advance(ALMOST);
    pds.do_jobs().await;
    assert_eq!(row(&pds, &alice.did, &cid).await, Some(second));
    pds.advance(SECOND);
    pds.do_jobs().await;
    assert_eq!(row(&pds, &alice.did, &cid).await, None);
}

#[tokio::test]
async fn what_a_record_refers_to_never_goes_whatever_its_row_says() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let cid = uploaded(&pds, &alice, b"precious").await;
    // An import has written the reference, and not yet said so of the blob.
    refer_missing(&pds, &alice.did, "a", &[cid]).await;
    pds.advance(UNREFERENCED);
    pds.do_jobs().await;
    assert!(row(&pds, &alice.did, &cid).await.is_some());
    files_become(&pds, 1).await;
}

#[tokio::test]
async fn a_taken_down_blob_goes_and_is_known_when_it_comes_again() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let cid = uploaded(&pds, &alice, b"bad").await;
    take_down(&pds, &alice.did, &cid, Some("a report")).await;
    pds.advance(2 * UNREFERENCED);
    pds.do_jobs().await;
    files_become(&pds, 0).await;
    assert_eq!(row(&pds, &alice.did, &cid).await, None);
    let again = pds.xrpc_post("com.atproto.repo.uploadBlob").bearer(&pds.sign_in("alice").await.access);
    let refused = again.body("text/plain", "bad").error().await;
    assert_eq!(refused.2, "Blob has been takendown, cannot re-upload");
    take_down(&pds, &alice.did, &cid, None).await;
    uploaded(&pds, &pds.sign_in("alice").await, b"bad").await;
}

#[tokio::test]
async fn a_sweep_removes_old_objects_that_no_row_names_and_corrects_counters() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for n in 0..40_u8 {
        let cid = uploaded(&pds, &alice, &[n]).await;
        refer(&pds, &alice.did, &format!("r{n}"), 1, &[cid]).await;
    }
    let folder = Folder::of(&alice.did);
    let place = pds.blobs().join(folder.shard()).join(folder.name());
    let named = fs::read_dir(&place).unwrap().next().unwrap().unwrap().path();
    let old = fs::metadata(&named).unwrap().modified().unwrap();
    for n in 0..40_u64 {
        let name = object_name(&allod_atproto::Cid::for_raw(b"left over"), n.to_be_bytes());
        fs::write(place.join(&name), b"left over").unwrap();
        fs::File::options().write(true).open(place.join(name)).unwrap().set_modified(old).unwrap();
    }
    fs::write(place.join("notes.txt"), b"somebody's").unwrap();
    let mut txn = Txn::new();
    txn.run(sql!("UPDATE blob_usage SET bytes = 7"));
    pds.app().db.commit(txn).await.unwrap();

    pds.advance(ALMOST);
    assert_eq!(pds.app().blobs.sweep().await.unwrap(), Swept { objects: 0, counters: 1 });
    assert_eq!(usage(&pds, &alice.did).await, 40);
    pds.advance(SECOND + SECOND);
    assert_eq!(pds.app().blobs.sweep().await.unwrap(), Swept { objects: 40, counters: 0 });
    files_become(&pds, 41).await;
    assert_eq!(pds.app().blobs.sweep().await.unwrap(), Swept::default());
}

#[tokio::test]
async fn a_removed_account_leaves_no_blobs() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let cid = uploaded(&pds, &alice, b"same").await;
    uploaded(&pds, &bob, b"same").await;
    refer(&pds, &alice.did, "a", 1, &[cid]).await;
    refer(&pds, &bob.did, "a", 1, &[cid]).await;
    let mut txn = Txn::new();
    txn.touch(Touched::Account(alice.did.to_string()));
    let due =
        "UPDATE accounts SET deactivated_at = created_at, delete_after = created_at, was_activated = 0 WHERE did = $1";
    txn.expect(ConflictKey::Test("there"), 1, sql!(due, alice.did.as_str()));
    pds.app().db.commit(txn).await.unwrap();
    pds.advance(SECOND);
    pds.do_jobs().await;
    pds.do_jobs().await;
    files_become(&pds, 1).await;
    assert_eq!(row(&pds, &alice.did, &cid).await, None);
    assert_eq!(get(&pds, &bob.did, &cid).send().await.body, "same");
}
