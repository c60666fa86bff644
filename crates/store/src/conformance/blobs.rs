//! Blobs, references to them, and what an account may hold.

use std::sync::Arc;

use allod_atproto::{Cid, Did, Tid, repo::RecordPath};

use super::Engine;
use crate::{
    CommitError, ConflictKey, Db, Txn, sql,
    tables::{
        PageSize,
        blobs::{self, Blob, NewBlob, Usage},
        denied_blobs,
        records::RecordSet,
    },
};

const QUOTA_BYTES_MAX: u64 = 1_000_000;

fn did(name: &str) -> Did {
    Did::parse(&format!("did:web:{name}.test")).expect("a DID")
}

fn cid(content: &str) -> Cid {
    Cid::for_raw(content.as_bytes())
}

fn rev(number: u64) -> Tid {
    Tid::from_u64(number)
}

fn post(rkey: &str) -> RecordPath {
    RecordPath::parse(&format!("app.bsky.feed.post/{rkey}")).expect("a path")
}

fn set(number: u8) -> RecordSet {
    RecordSet::from_random([0, 0, 0, 0, 0, 0, 0, number])
}

/// Gives an account a repository with this set of records, or its repository another set.
fn adopt(txn: &mut Txn, owner: &Did, number: u8) {
    txn.run(sql!(
        "INSERT INTO repos (did, head, rev, data, commit_block, record_set) VALUES ($1, '', '', '', $2, $3) \
         ON CONFLICT (did) DO UPDATE SET record_set = excluded.record_set",
        owner.as_str(),
        &b""[..],
        set(number).number()
    ));
}

/// Stores a blob whose content is its name.
fn upload(txn: &mut Txn, owner: &Did, content: &str, now: i64) {
    let object = format!("{owner} {content}");
    let size = content.len() as u64;
    let blob = NewBlob {
        cid: cid(content),
        mime_type: "text/plain",
        size,
        object: &object,
        checksums: b"crc!",
        is_type_guessed: false,
    };
    blobs::insert(txn, owner, &blob, now, QUOTA_BYTES_MAX);
}

async fn run(db: &Db, fill: impl FnOnce(&mut Txn)) -> Result<(), CommitError> {
    let mut txn = Txn::new();
    fill(&mut txn);
    db.commit(txn).await.map(|_| ())
}

async fn done(db: &Db, fill: impl FnOnce(&mut Txn)) {
    run(db, fill).await.expect("it can be written");
}

async fn conflict(db: &Db, fill: impl FnOnce(&mut Txn)) -> ConflictKey {
    match run(db, fill).await {
        Err(CommitError::Conflict(key)) => key,
        other => panic!("a conflict was expected, not {other:?}"),
    }
}

async fn stored(db: &Db, owner: &Did, content: &str) -> Blob {
    blobs::by_cid(&**db, owner, &cid(content)).await.expect("blobs can be read").expect("the blob is there")
}

async fn unreferenced_since(db: &Db, owner: &Did, content: &str) -> Option<i64> {
    stored(db, owner, content).await.unreferenced_since
}

pub(super) async fn a_blob_is_stored_once(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let (alice, bob) = (did("alice"), did("bob"));
    done(&db, |txn| upload(txn, &alice, "one", 7)).await;
    let blob = stored(&db, &alice, "one").await;
    let expected = Blob {
        cid: cid("one"),
        mime_type: "text/plain".to_owned(),
        size: 3,
        object: "did:web:alice.test one".to_owned(),
        unreferenced_since: Some(7),
        takedown_ref: None,
        is_type_guessed: false,
    };
    assert_eq!(blob, expected);
    assert_eq!(conflict(&db, |txn| upload(txn, &alice, "one", 8)).await, ConflictKey::BlobMoved);
    assert_eq!(stored(&db, &alice, "one").await, blob);
    done(&db, |txn| upload(txn, &bob, "one", 9)).await;
    assert_eq!(unreferenced_since(&db, &bob, "one").await, Some(9));
    db.close().await;
}

pub(super) async fn an_account_holds_no_more_than_it_may(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let sized = |content: &'static str, size: u64, quota: u64| {
        move |txn: &mut Txn| {
            let blob = NewBlob {
                cid: cid(content),
                mime_type: "a/b",
                size,
                object: content,
                checksums: b"crc!",
                is_type_guessed: false,
            };
            blobs::insert(txn, &did("alice"), &blob, 1, quota);
        }
    };
    assert_eq!(conflict(&db, sized("first", 11, 10)).await, ConflictKey::BlobQuotaExceeded);
    done(&db, sized("nothing", 0, 0)).await;
    done(&db, sized("second", 6, 10)).await;
    assert_eq!(conflict(&db, sized("third", 5, 10)).await, ConflictKey::BlobQuotaExceeded);
    assert_eq!(blobs::by_cid(&*db, &did("alice"), &cid("third")).await.expect("a read"), None);
    done(&db, sized("fourth", 4, 10)).await;
    assert_eq!(conflict(&db, sized("fifth", 1, 10)).await, ConflictKey::BlobQuotaExceeded);
    done(&db, sized("sixth", 1, u64::MAX)).await;
    db.close().await;
}

pub(super) async fn many_blobs_are_read_at_once(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let alice = did("alice");
    let contents: Vec<String> = (0..40).map(|n| format!("content {n}")).collect();
    done(&db, |txn| contents.iter().for_each(|content| upload(txn, &alice, content, 1))).await;
    let mut asked: Vec<Cid> = contents.iter().map(|content| cid(content)).collect();
    for count in [0, 1, 2, 15, 16, 17, 32, 40] {
        let found = blobs::by_cids(&*db, &alice, &asked[..count]).await.expect("a read");
        let mut expected = asked[..count].to_vec();
        expected.sort();
        assert_eq!(found.iter().map(|blob| blob.cid).collect::<Vec<_>>(), expected);
    }
    asked = vec![cid("content 3"), cid("elsewhere"), cid("content 3")];
    let found = blobs::by_cids(&*db, &alice, &asked).await.expect("a read");
    assert_eq!(found.iter().map(|blob| blob.cid).collect::<Vec<_>>(), [cid("content 3")]);
    assert_eq!(blobs::by_cids(&*db, &did("bob"), &asked).await.expect("a read"), []);
    db.close().await;
}

pub(super) async fn a_reference_needs_its_blob(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let alice = did("alice");
    done(&db, |txn| upload(txn, &alice, "here", 1)).await;
    done(&db, |txn| upload(txn, &did("bob"), "elsewhere", 1)).await;
    let to_both = [cid("here"), cid("elsewhere")];
    let which = conflict(&db, |txn| blobs::refer(txn, &alice, set(1), &post("a"), rev(1), &to_both)).await;
    assert_eq!(which, ConflictKey::BlobGone);
    assert_eq!(unreferenced_since(&db, &alice, "here").await, Some(1));
    done(&db, |txn| blobs::refer(txn, &alice, set(1), &post("a"), rev(1), &to_both[..1])).await;
    assert_eq!(unreferenced_since(&db, &alice, "here").await, None);
    db.close().await;
}

pub(super) async fn a_taken_down_blob_is_not_referred_to(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let alice = did("alice");
    done(&db, |txn| upload(txn, &alice, "bad", 1)).await;
    done(&db, |txn| blobs::refer(txn, &alice, set(1), &post("a"), rev(1), &[cid("bad")])).await;
    done(&db, |txn| denied_blobs::deny(txn, &cid("bad"), &did("bob"), "a report", 2)).await;
    assert_eq!(stored(&db, &alice, "bad").await.takedown_ref.as_deref(), Some("a report"));
    let which = conflict(&db, |txn| blobs::refer(txn, &alice, set(1), &post("b"), rev(2), &[cid("bad")])).await;
    assert_eq!(which, ConflictKey::BlobGone);
    done(&db, |txn| blobs::drop_references(txn, &alice, set(1), &post("a"), 5)).await;
    assert_eq!(unreferenced_since(&db, &alice, "bad").await, Some(5));
    db.close().await;
}

pub(super) async fn an_imported_reference_may_come_before_its_blob(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let alice = did("alice");
    done(&db, |txn| {
        adopt(txn, &alice, 1);
        for content in ["old", "new", "both", "neither"] {
            upload(txn, &alice, content, 1);
        }
        blobs::refer(txn, &alice, set(1), &post("a"), rev(1), &[cid("old"), cid("both")]);
    })
    .await;
    let of_import = [cid("new"), cid("both"), cid("missing")];
    done(&db, |txn| blobs::refer_missing_allowed(txn, set(2), &post("a"), rev(1), &of_import)).await;
    assert_eq!(unreferenced_since(&db, &alice, "new").await, Some(1), "the import is not done");
    done(&db, |txn| {
        adopt(txn, &alice, 2);
        blobs::settle(txn, &alice, 5);
    })
    .await;
    let mut since = Vec::new();
    for content in ["old", "new", "both", "neither"] {
        since.push(unreferenced_since(&db, &alice, content).await);
    }
    assert_eq!(since, [Some(5), None, None, Some(1)]);
    db.close().await;
}

pub(super) async fn the_last_reference_gone_the_blob_is_unreferenced(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let alice = did("alice");
    done(&db, |txn| {
        for content in ["shared", "own", "kept"] {
            upload(txn, &alice, content, 1);
        }
        blobs::refer(txn, &alice, set(1), &post("a"), rev(1), &[cid("shared"), cid("own"), cid("kept")]);
        blobs::refer(txn, &alice, set(1), &post("b"), rev(1), &[cid("shared"), cid("shared")]);
    })
    .await;
    // A record is written anew: it drops what it referred to and refers to what it refers to now.
    done(&db, |txn| {
        blobs::drop_references(txn, &alice, set(1), &post("a"), 5);
        blobs::refer(txn, &alice, set(1), &post("a"), rev(2), &[cid("kept")]);
    })
    .await;
    assert_eq!(unreferenced_since(&db, &alice, "shared").await, None);
    assert_eq!(unreferenced_since(&db, &alice, "own").await, Some(5));
    assert_eq!(unreferenced_since(&db, &alice, "kept").await, None);
    // Both in one transaction.
    done(&db, |txn| {
        blobs::drop_references(txn, &alice, set(1), &post("a"), 6);
        blobs::drop_references(txn, &alice, set(1), &post("b"), 6);
        blobs::drop_references(txn, &alice, set(1), &post("none"), 6);
    })
    .await;
    assert_eq!(unreferenced_since(&db, &alice, "shared").await, Some(6));
    assert_eq!(unreferenced_since(&db, &alice, "own").await, Some(5));
    assert_eq!(unreferenced_since(&db, &alice, "kept").await, Some(6));
    let left = db.read(sql!("SELECT path FROM record_blobs")).await.expect("a read");
    assert!(left.is_empty(), "{left:?}");
    db.close().await;
}

pub(super) async fn other_accounts_and_record_sets_are_left_alone(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let (alice, bob) = (did("alice"), did("bob"));
    done(&db, |txn| {
        for (owner, number) in [(&alice, 1), (&bob, 2)] {
            upload(txn, owner, "same", 1);
            blobs::refer(txn, owner, set(number), &post("a"), rev(1), &[cid("same")]);
        }
        blobs::refer_missing_allowed(txn, set(3), &post("a"), rev(1), &[cid("same")]);
    })
    .await;
    done(&db, |txn| blobs::drop_references(txn, &alice, set(1), &post("a"), 5)).await;
    assert_eq!(unreferenced_since(&db, &alice, "same").await, Some(5), "another set of records does not count");
    assert_eq!(unreferenced_since(&db, &bob, "same").await, None);
    let left = db.read(sql!("SELECT record_set FROM record_blobs ORDER BY record_set")).await.expect("a read");
    let left: Vec<i64> = left.iter().map(|row| row.get(0).expect("a number")).collect();
    assert_eq!(left, [2, 3]);
    db.close().await;
}

pub(super) async fn what_a_record_waits_for_is_referred_to_from_the_start(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let alice = did("alice");
    done(&db, |txn| {
        adopt(txn, &alice, 1);
        blobs::refer_missing_allowed(txn, set(1), &post("a"), rev(1), &[cid("awaited")]);
        blobs::refer_missing_allowed(txn, set(2), &post("a"), rev(1), &[cid("of another set")]);
    })
    .await;
    done(&db, |txn| {
        upload(txn, &alice, "awaited", 1);
        upload(txn, &alice, "of another set", 1);
        upload(txn, &did("bob"), "awaited", 1);
    })
    .await;
    assert_eq!(unreferenced_since(&db, &alice, "awaited").await, None);
    assert_eq!(unreferenced_since(&db, &alice, "of another set").await, Some(1));
    assert_eq!(unreferenced_since(&db, &did("bob"), "awaited").await, Some(1));
    db.close().await;
}

pub(super) async fn a_blob_is_renewed_only_as_it_was_read(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let alice = did("alice");
    done(&db, |txn| upload(txn, &alice, "one", 1)).await;
    let object = stored(&db, &alice, "one").await.object;
    let renewed = |object: &str, now: i64| {
        let (alice, object) = (alice.clone(), object.to_owned());
        move |txn: &mut Txn| {
            let blob = NewBlob {
                cid: cid("one"),
                mime_type: "text/html",
                size: 3,
                object: &object,
                checksums: b"crc!",
                is_type_guessed: false,
            };
            blobs::renew(txn, &alice, &blob, now);
        }
    };
    done(&db, renewed(&object, 5)).await;
    let blob = stored(&db, &alice, "one").await;
    assert_eq!((blob.mime_type.as_str(), blob.unreferenced_since), ("text/html", Some(5)));
    assert_eq!(conflict(&db, renewed("another", 6)).await, ConflictKey::BlobMoved);
    done(&db, |txn| blobs::replace_object(txn, &alice, &cid("one"), &object, "another", b"new!")).await;
    let replace = |txn: &mut Txn| blobs::replace_object(txn, &alice, &cid("one"), &object, "a third", b"new!");
    assert_eq!(conflict(&db, replace).await, ConflictKey::BlobMoved);
    done(&db, renewed("another", 7)).await;
    done(&db, |txn| blobs::refer(txn, &alice, set(1), &post("a"), rev(1), &[cid("one")])).await;
    assert_eq!(conflict(&db, renewed("another", 8)).await, ConflictKey::BlobMoved);
    done(&db, |txn| blobs::drop_references(txn, &alice, set(1), &post("a"), 9)).await;
    done(&db, |txn| denied_blobs::deny(txn, &cid("one"), &alice, "a report", 9)).await;
    assert_eq!(conflict(&db, renewed("another", 10)).await, ConflictKey::BlobMoved);
    db.close().await;
}

pub(super) async fn what_records_refer_to_is_listed_in_pages(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let alice = did("alice");
    let contents: Vec<String> = (0..5).map(|n| format!("content {n}")).collect();
    let mut cids: Vec<Cid> = contents.iter().map(|content| cid(content)).collect();
    cids.sort();
    done(&db, |txn| {
        adopt(txn, &alice, 1);
        upload(txn, &alice, "content 0", 1);
        blobs::refer_missing_allowed(txn, set(1), &post("b"), rev(10), &cids);
        blobs::refer_missing_allowed(txn, set(1), &post("a"), rev(20), &cids[..2]);
        blobs::refer_missing_allowed(txn, set(2), &post("a"), rev(20), &[cid("elsewhere")]);
    })
    .await;
    let listed = async |since: Option<Tid>, after: Option<&Cid>, limit: i64| {
        blobs::referenced(&*db, set(1), since, after, limit).await.expect("a read")
    };
    assert_eq!(listed(None, None, 10).await, cids);
    assert_eq!(listed(None, None, 2).await, cids[..2]);
    assert_eq!(listed(None, Some(&cids[1]), 2).await, cids[2..4]);
    assert_eq!(listed(Some(rev(10)), None, 10).await, cids[..2]);
    assert_eq!(listed(Some(rev(9)), None, 10).await, cids);
    assert_eq!(listed(Some(rev(20)), None, 10).await, []);
    assert_eq!(listed(Some(Tid::from_u64(u64::MAX)), None, 10).await, []);

    cids.retain(|listed| *listed != cid("content 0"));
    let missing = async |after: Option<&Cid>, limit: i64| {
        let size = PageSize { rows: limit, bytes: usize::MAX };
        let missing = blobs::missing(&*db, &alice, after, size).await.expect("a read");
        missing.items.into_iter().map(|missing| (missing.cid, missing.path)).collect::<Vec<_>>()
    };
    let all = missing(None, 10).await;
    let short = blobs::missing(&*db, &alice, None, PageSize { rows: 10, bytes: 1 }).await.expect("a read");
    assert_eq!((short.items.len(), short.may_go_on), (1, true));
    assert_eq!(all.iter().map(|(cid, _)| *cid).collect::<Vec<_>>(), cids);
    assert!(all.iter().all(|(_, path)| path.starts_with("app.bsky.feed.post/")));
    assert_eq!(missing(None, 3).await, all[..3]);
    assert_eq!(missing(Some(&cids[2]), 3).await, all[3..]);
    let nothing = blobs::missing(&*db, &did("bob"), None, PageSize { rows: 10, bytes: usize::MAX }).await;
    assert_eq!(nothing.expect("a read").items, []);
    db.close().await;
}

pub(super) async fn only_long_unreferenced_blobs_are_removed(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let (alice, bob) = (did("alice"), did("bob"));
    done(&db, |txn| {
        adopt(txn, &alice, 1);
        for (content, now) in [("old", 1), ("young", 9), ("used", 1), ("said to be unused", 1)] {
            upload(txn, &alice, content, now);
        }
        upload(txn, &bob, "old", 2);
        blobs::refer(txn, &alice, set(1), &post("a"), rev(1), &[cid("used")]);
        blobs::refer_missing_allowed(txn, set(1), &post("a"), rev(1), &[cid("said to be unused")]);
    })
    .await;
    let due = blobs::unreferenced_until(&*db, 5, 10).await.expect("a read");
    let mut named: Vec<(&Did, Cid)> = due.iter().map(|due| (&due.did, due.blob.cid)).collect();
    named.sort();
    let mut expected = vec![(&alice, cid("old")), (&alice, cid("said to be unused")), (&bob, cid("old"))];
    expected.sort();
    assert_eq!(named, expected);
    assert_eq!(blobs::unreferenced_until(&*db, 5, 1).await.expect("a read").len(), 1);
    for due in &due {
        let remove = |txn: &mut Txn| blobs::remove_unreferenced(txn, &due.did, &due.blob, 5);
        if due.blob.cid == cid("said to be unused") {
            assert_eq!(conflict(&db, remove).await, ConflictKey::BlobMoved);
        } else {
            done(&db, remove).await;
            assert_eq!(conflict(&db, remove).await, ConflictKey::BlobMoved);
        }
    }
    for content in ["young", "used", "said to be unused"] {
        stored(&db, &alice, content).await;
    }
    let young = stored(&db, &alice, "young").await;
    let too_early = |txn: &mut Txn| blobs::remove_unreferenced(txn, &alice, &young, 5);
    assert_eq!(conflict(&db, too_early).await, ConflictKey::BlobMoved);
    done(&db, |txn| txn.run(sql!("DELETE FROM repos"))).await;
    done(&db, |txn| blobs::disown(txn, &alice)).await;
    assert_eq!(
        blobs::unreferenced_until(&*db, 5, 10).await.expect("a read").len(),
        3,
        "all of an account that is gone"
    );
    db.close().await;
}

pub(super) async fn objects_and_usage_are_known(engine: Arc<dyn Engine>) {
    let db = engine.open();
    let (alice, bob) = (did("alice"), did("bob"));
    done(&db, |txn| {
        upload(txn, &alice, "one", 1);
        upload(txn, &alice, "three", 1);
        upload(txn, &bob, "one", 1);
    })
    .await;
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let (asked, expected) = (named(&["x", "did:web:alice.test one", "y"]), named(&["did:web:alice.test one"]));
    assert_eq!(blobs::known_objects(&*db, &asked).await.expect("a read"), expected);
    assert_eq!(blobs::known_objects(&*db, &[]).await.expect("a read"), Vec::<String>::new());
    done(&db, |txn| txn.run(sql!("UPDATE blob_usage SET bytes = 5 WHERE did = $1", alice.as_str()))).await;
    let usage = |of: &Did, counted_bytes, stored_bytes| Usage { did: of.to_string(), counted_bytes, stored_bytes };
    let all = blobs::usages(&*db, "", 10).await.expect("a read");
    assert_eq!(all, [usage(&alice, 5, 8), usage(&bob, 3, 3)]);
    assert_eq!(blobs::usages(&*db, alice.as_str(), 10).await.expect("a read"), all[1..]);
    done(&db, |txn| blobs::recount(txn, alice.as_str())).await;
    assert_eq!(blobs::usages(&*db, "", 1).await.expect("a read"), [usage(&alice, 8, 8)]);
    let blob = stored(&db, &alice, "one").await;
    done(&db, |txn| blobs::remove_unreferenced(txn, &alice, &blob, 5)).await;
    assert_eq!(blobs::usages(&*db, "", 1).await.expect("a read"), [usage(&alice, 5, 5)]);
    db.close().await;
}
