//! What every object store must do: one suite, run on each store.
//!
//! A case gets an empty storage location of its own and may open it several times. It fails by panicking.
#![expect(clippy::expect_used, clippy::indexing_slicing, reason = "a case fails by panicking")]

use std::{
    io::{self, Read},
    ops::Range,
    sync::Arc,
    time::Duration,
};

use allod_atproto::{Cid, Did};
use bytes::Bytes;
use futures_util::{TryStreamExt as _, future::BoxFuture};

use crate::{
    checksums::Summing,
    limits::{BLOB_HEAD_BYTES, BLOB_READ_BYTES},
    objects::{DecodeError, Folder, NewObject, ObjectStore, object_name},
};

/// The timeout of a case, on a slow machine in a debug build.
const CASE_SECONDS_MAX: u64 = 60;

/// One storage location under test.
pub trait Location: Send + Sync + 'static {
    /// Opens the location: objects that were kept by an earlier store on it exist.
    fn open(&self) -> Arc<dyn ObjectStore>;
}

/// One requirement.
#[derive(Clone, Copy)]
pub struct Case {
    /// The requirement, as a sentence in one word.
    pub name: &'static str,
    run: fn(Arc<dyn Location>) -> BoxFuture<'static, ()>,
}

macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        &[$(Case { name: stringify!($name), run: |location| Box::pin($name(location)) }),*]
    };
}

/// All requirements.
pub const CASES: &[Case] = cases![
    a_kept_object_reads_back_in_any_range,
    a_finished_object_is_described,
    an_object_that_is_dropped_leaves_nothing,
    objects_written_at_once_do_not_mix,
    coded_bytes_are_replaced_by_the_decoded_ones,
    bytes_that_decode_to_too_many_are_rejected,
    bytes_that_do_not_decode_are_rejected,
    folders_are_separate,
    a_removed_object_is_gone,
    objects_are_listed_by_time,
    an_empty_folder_is_removed_and_can_be_used_again,
    kept_objects_exist_after_opening_again,
];

/// Runs every case on a location of its own; panics with the list of those that failed.
pub async fn run(fresh: impl Fn() -> Arc<dyn Location>) {
    let mut failures = Vec::new();
    for case in CASES {
        let work = tokio::spawn((case.run)(fresh()));
        match tokio::time::timeout(Duration::from_secs(CASE_SECONDS_MAX), work).await {
            Ok(Ok(())) => {}
            Ok(Err(panic)) => failures.push(format!("{}: {panic}", case.name)),
            Err(_) => failures.push(format!("{}: not done after {CASE_SECONDS_MAX} s", case.name)),
        }
    }
    assert!(failures.is_empty(), "{} of {} cases failed:\n{}", failures.len(), CASES.len(), failures.join("\n"));
}

async fn a_kept_object_reads_back_in_any_range(location: Arc<dyn Location>) {
    let (store, folder) = (location.open(), alice());
    for bytes in [0, 1, 100, 262_143, 262_144, 262_145, 1_000_000] {
        let content = content(bytes);
        let size = u64::from(bytes);
        let name = keep(&*store, &folder, &content, 1).await;
        assert_eq!(size_of(&*store, &folder, &name).await, Some(size));
        assert_eq!(read(&*store, &folder, &name, 0..size).await, Some((size, content.clone())));
        let ranges = [0..size / 2, size / 3..size, size..size, 0..size + 10, size + 5..size + 10, size / 2..u64::MAX];
        for range in ranges {
            let part = part(&content, &range);
            assert_eq!(read(&*store, &folder, &name, range.clone()).await, Some((size, part)), "{range:?} of {size}");
        }
    }
}

async fn a_finished_object_is_described(location: Arc<dyn Location>) {
    let store = location.open();
    for bytes in [0, 1, 8 * 1024 - 1, 8 * 1024, 8 * 1024 + 1, 300_000] {
        let content = content(bytes);
        let mut object = written(&*store, &content).await;
        let finished = object.finish().await.expect("an object can be finished");
        assert_eq!(finished.cid, Cid::for_raw(&content));
        assert_eq!(finished.size, u64::from(bytes));
        assert_eq!(finished.head, content[..content.len().min(BLOB_HEAD_BYTES)]);
        let mut summing = Summing::default();
        summing.update(&content);
        assert_eq!(finished.checksums, summing.finish());
    }
}

async fn an_object_that_is_dropped_leaves_nothing(location: Arc<dyn Location>) {
    let (store, folder) = (location.open(), alice());
    let content = content(1_000_000);
    let dropped = written(&*store, &content).await;
    drop(dropped);
    let mut finished = written(&*store, &content).await;
    finished.finish().await.expect("an object can be finished");
    drop(finished);
    assert_eq!(store.folders(folder.shard()).await.expect("folders can be listed"), []);
    assert_eq!(kept_before(&*store, &folder, u64::MAX / 2).await, Vec::<String>::new());
}

async fn objects_written_at_once_do_not_mix(location: Arc<dyn Location>) {
    let (store, other_store) = (location.open(), location.open());
    let (mut one, mut other, mut third) = (store.create(), store.create(), other_store.create());
    for piece in ["1", "2", "3"] {
        for (object, name) in [(&mut one, "one"), (&mut other, "other"), (&mut third, "third")] {
            object.write(vec![Bytes::from(format!("{name} {piece}"))]).await.expect("bytes can be written");
        }
    }
    for (object, expected) in
        [(&mut one, "one 1one 2one 3"), (&mut other, "other 1other 2other 3"), (&mut third, "third 1third 2third 3")]
    {
        let finished = object.finish().await.expect("an object can be finished");
        assert_eq!(finished.cid, Cid::for_raw(expected.as_bytes()), "{expected}");
    }
}

async fn coded_bytes_are_replaced_by_the_decoded_ones(location: Arc<dyn Location>) {
    let (store, folder) = (location.open(), alice());
    let mut object = written(&*store, b"0123456789").await;
    object.decode(Box::new(|coded| Box::new(coded.take(4))), 4).await.expect("four bytes are allowed");
    let finished = object.finish().await.expect("an object can be finished");
    assert_eq!((finished.cid, finished.size, &*finished.head), (Cid::for_raw(b"0123"), 4, &b"0123"[..]));
    object.keep(&folder, "decoded", 1).await.expect("an object can be kept");
    assert_eq!(read(&*store, &folder, "decoded", 0..10).await, Some((4, b"0123".to_vec())));
}

async fn bytes_that_decode_to_too_many_are_rejected(location: Arc<dyn Location>) {
    let store = location.open();
    let mut object = written(&*store, b"0123456789").await;
    let error = object.decode(Box::new(|coded| coded), 9).await.expect_err("ten bytes are too many");
    assert!(matches!(error, DecodeError::TooLarge), "{error}");
}

async fn bytes_that_do_not_decode_are_rejected(location: Arc<dyn Location>) {
    /// A decoder that rejects its input after the first read.
    struct Rejecting(Box<dyn Read + Send>);

    impl Read for Rejecting {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let _ = self.0.read(buffer)?;
            Err(io::ErrorKind::InvalidData.into())
        }
    }

    let store = location.open();
    let mut object = written(&*store, b"0123456789").await;
    let error = object.decode(Box::new(|coded| Box::new(Rejecting(coded))), 100).await.expect_err("it does not decode");
    assert!(matches!(error, DecodeError::Undecodable(_)), "{error}");
}

async fn folders_are_separate(location: Arc<dyn Location>) {
    let store = location.open();
    let (alice, bob) = (alice(), Folder::of(&Did::parse("did:web:bob.test").expect("a DID")));
    let name = keep(&*store, &alice, b"same", 1).await;
    assert_eq!(size_of(&*store, &bob, &name).await, None);
    assert_eq!(read(&*store, &bob, &name, 0..4).await, None);
    assert_eq!(keep(&*store, &bob, b"same", 1).await, name);
    store.remove(&alice, &name).await.expect("an object can be removed");
    assert_eq!(size_of(&*store, &alice, &name).await, None);
    assert_eq!(read(&*store, &bob, &name, 0..4).await, Some((4, b"same".to_vec())));
}

async fn a_removed_object_is_gone(location: Arc<dyn Location>) {
    let (store, folder) = (location.open(), alice());
    let name = keep(&*store, &folder, b"removed", 1).await;
    let other = keep(&*store, &folder, b"stays", 1).await;
    for _ in 0..2 {
        store.remove(&folder, &name).await.expect("an object can be removed, also again");
        assert_eq!(read(&*store, &folder, &name, 0..7).await, None);
        assert_eq!(size_of(&*store, &folder, &name).await, None);
    }
    assert_eq!(size_of(&*store, &folder, &other).await, Some(5));
}

async fn objects_are_listed_by_time(location: Arc<dyn Location>) {
    let (store, folder) = (location.open(), alice());
    let old = keep(&*store, &folder, b"old", 1_000_000).await;
    let new = keep(&*store, &folder, b"new", 3_000_000).await;
    let folders = store.folders(folder.shard()).await.expect("folders can be listed");
    assert_eq!(folders, std::slice::from_ref(&folder));
    let other_shard = if folder.shard() == "00" { "01" } else { "00" };
    assert_eq!(store.folders(other_shard).await.expect("folders can be listed"), []);
    assert_eq!(kept_before(&*store, &folder, 1_000_000).await, Vec::<String>::new());
    assert_eq!(kept_before(&*store, &folder, 2_000_000).await, std::slice::from_ref(&old));
    let mut expected = vec![old, new];
    expected.sort();
    assert_eq!(kept_before(&*store, &folder, 4_000_000).await, expected);
}

async fn an_empty_folder_is_removed_and_can_be_used_again(location: Arc<dyn Location>) {
    let (store, folder) = (location.open(), alice());
    let name = keep(&*store, &folder, b"first", 1_000_000).await;
    store.remove(&folder, &name).await.expect("an object can be removed");
    assert_eq!(kept_before(&*store, &folder, u64::MAX / 2).await, Vec::<String>::new());
    assert_eq!(store.folders(folder.shard()).await.expect("folders can be listed"), []);
    let again = keep(&*store, &folder, b"again", 2_000_000).await;
    assert_eq!(size_of(&*store, &folder, &again).await, Some(5));
}

async fn kept_objects_exist_after_opening_again(location: Arc<dyn Location>) {
    let folder = alice();
    let store = location.open();
    let name = keep(&*store, &folder, b"kept", 1).await;
    let unfinished = written(&*store, b"not kept").await;
    drop(store);
    let store = location.open();
    drop(unfinished);
    assert_eq!(read(&*store, &folder, &name, 0..4).await, Some((4, b"kept".to_vec())));
    assert_eq!(kept_before(&*store, &folder, u64::MAX / 2).await, [name]);
}

fn alice() -> Folder {
    Folder::of(&Did::parse("did:web:alice.test").expect("a DID"))
}

fn content(bytes: u32) -> Vec<u8> {
    (0..bytes).map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// The bytes of a range that may exceed the content.
fn part(content: &[u8], range: &Range<u64>) -> Vec<u8> {
    let bounded = |position: u64| usize::try_from(position).map_or(content.len(), |at| at.min(content.len()));
    content[bounded(range.start)..bounded(range.end)].to_vec()
}

/// Creates an object and writes the content in several pieces.
async fn written(store: &dyn ObjectStore, content: &[u8]) -> Box<dyn NewObject> {
    let mut object = store.create();
    for pieces in content.chunks(100_000) {
        let pieces = pieces.chunks(60_000).map(Bytes::copy_from_slice).collect();
        object.write(pieces).await.expect("bytes can be written");
    }
    object
}

/// Keeps an object with this content; its name is the same for the same content and time.
async fn keep(store: &dyn ObjectStore, folder: &Folder, content: &[u8], micros: u64) -> String {
    let mut object = written(store, content).await;
    let finished = object.finish().await.expect("an object can be finished");
    let name = object_name(&finished.cid, micros.to_be_bytes());
    object.keep(folder, &name, micros).await.expect("an object can be kept");
    name
}

async fn size_of(store: &dyn ObjectStore, folder: &Folder, name: &str) -> Option<u64> {
    store.size(folder, name).await.expect("a size can be read")
}

/// Reads a range; returns the size of the object and the bytes, after checking the size of each piece.
async fn read(store: &dyn ObjectStore, folder: &Folder, name: &str, range: Range<u64>) -> Option<(u64, Vec<u8>)> {
    let opened = store.read(folder, name, range).await.expect("an object can be opened")?;
    assert!(opened.first.len() <= BLOB_READ_BYTES, "{} bytes at once", opened.first.len());
    let mut bytes = opened.first.to_vec();
    if let Some(rest) = opened.rest {
        let pieces: Vec<Bytes> = rest.try_collect().await.expect("an object can be read");
        assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= BLOB_READ_BYTES));
        bytes.extend(pieces.concat());
    }
    Some((opened.size, bytes))
}

/// Lists a folder's objects in the order of their names.
async fn kept_before(store: &dyn ObjectStore, folder: &Folder, micros: u64) -> Vec<String> {
    let mut names = store.kept_before(folder, micros).await.expect("objects can be listed");
    names.sort();
    names
}
