//! Blobs over time: what is kept, what goes, and what faults and crashes leave. And how tests upload and refer to them.

mod faults;
mod removal;

use std::{
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use allod_atproto::{Cid, Did, Tid, repo::RecordPath};
use allod_base::clock;
use allod_server::domain::blobs::collect::UNREFERENCED_SECS;
use allod_store::{
    Txn, sql,
    tables::{
        blobs::{self, Blob},
        records::RecordSet,
        repos,
    },
};
use allod_testkit::{Actor, Call, TestPds};
use serde_json::{Value, json};

pub(crate) const UPLOAD: &str = "com.atproto.repo.uploadBlob";
pub(crate) const GET: &str = "com.atproto.sync.getBlob";

/// How long a blob is kept while no record refers to it.
pub(crate) const UNREFERENCED: Duration = Duration::from_secs(UNREFERENCED_SECS);

/// Bytes that no other number makes.
pub(crate) fn content(seed: u32, bytes: u32) -> Vec<u8> {
    (0..bytes).map(|n| (n ^ seed).wrapping_mul(2_654_435_761).to_be_bytes()[0]).collect()
}

/// An upload that is about to be sent.
pub(crate) fn upload(pds: &TestPds, actor: &Actor, content_type: &str, content: impl Into<bytes::Bytes>) -> Call {
    let content = content.into();
    let call = pds.xrpc_post(UPLOAD).bearer(&actor.access);
    // The client does not say of a body that there is nothing in it.
    let call = if content.is_empty() { call.header("content-length", "0") } else { call };
    call.body(content_type, content)
}

/// Signs in anew, when the old token is over.
pub(crate) async fn signed_in(pds: &TestPds, actor: &Actor) -> Actor {
    let body = json!({ "identifier": actor.handle, "password": actor.password });
    let session = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
    Actor { access: session["accessJwt"].as_str().unwrap().to_owned(), ..actor.clone() }
}

/// Uploads text and gives its CID.
pub(crate) async fn uploaded(pds: &TestPds, actor: &Actor, content: &[u8]) -> Cid {
    let answer = upload(pds, actor, "text/plain", content.to_vec()).ok().await;
    let cid = Cid::for_raw(content);
    assert_eq!(cid_of(&answer), cid);
    cid
}

/// The CID in an upload's answer.
pub(crate) fn cid_of(answer: &Value) -> Cid {
    Cid::parse(answer["blob"]["ref"]["$link"].as_str().unwrap()).unwrap()
}

/// A request for a blob.
pub(crate) fn get(pds: &TestPds, did: &Did, cid: &Cid) -> Call {
    pds.xrpc_get(GET).param("did", did).param("cid", cid)
}

/// Has a record refer to blobs that are stored, behind the server's back.
pub(crate) async fn refer(pds: &TestPds, did: &Did, rkey: &str, rev: u64, cids: &[Cid]) {
    let set = record_set(pds, did).await;
    let mut txn = Txn::new();
    blobs::refer(&mut txn, did, set, &post(rkey), Tid::from_u64(rev), cids);
    pds.app().db.commit(txn).await.unwrap();
}

/// Has a record refer to blobs, stored or not, as an import does.
pub(crate) async fn refer_missing(pds: &TestPds, did: &Did, rkey: &str, cids: &[Cid]) {
    let set = record_set(pds, did).await;
    let mut txn = Txn::new();
    blobs::refer_missing_allowed(&mut txn, set, &post(rkey), Tid::from_u64(1), cids);
    pds.app().db.commit(txn).await.unwrap();
}

/// Has a record refer to nothing any more.
pub(crate) async fn dereference(pds: &TestPds, did: &Did, rkey: &str) {
    let set = record_set(pds, did).await;
    let mut txn = Txn::new();
    blobs::drop_references(&mut txn, did, set, &post(rkey), clock::to_store(pds.app().clock.now_micros()));
    pds.app().db.commit(txn).await.unwrap();
}

/// Takes an account's blob down, or not any more.
pub(crate) async fn take_down(pds: &TestPds, did: &Did, cid: &Cid, report: Option<&str>) {
    let subject = json!({ "$type": "com.atproto.admin.defs#repoBlobRef", "did": did, "cid": cid.to_string() });
    crate::seen::set_takedown(pds, &subject, report).await;
}

/// The blob's row.
pub(crate) async fn row(pds: &TestPds, did: &Did, cid: &Cid) -> Option<Blob> {
    blobs::by_cid(&*pds.app().db, did, cid).await.unwrap()
}

/// How many bytes the account's counter says it holds.
pub(crate) async fn usage(pds: &TestPds, did: &Did) -> i64 {
    let rows = pds.app().db.read(sql!("SELECT bytes FROM blob_usage WHERE did = $1", did.as_str())).await.unwrap();
    rows.first().map_or(0, |row| row.get(0).unwrap())
}

async fn record_set(pds: &TestPds, did: &Did) -> RecordSet {
    repos::head_of(&*pds.app().db, did).await.unwrap().unwrap().record_set
}

fn post(rkey: &str) -> RecordPath {
    RecordPath::parse(&format!("app.bsky.feed.post/{rkey}")).unwrap()
}

/// Every file that blobs are in, finished or not.
pub(crate) fn files(pds: &TestPds) -> Vec<PathBuf> {
    fn below(folder: &Path, files: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { below(&path, files) } else { files.push(path) }
        }
    }
    let mut files = Vec::new();
    below(&pds.blobs(), &mut files);
    files
}

/// Waits until so many files are there: what nobody waits for is removed a moment later.
pub(crate) async fn files_become(pds: &TestPds, count: usize) {
    for _ in 0..1000 {
        if files(pds).len() == count {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("{count} files were expected, not {:?}", files(pds));
}
