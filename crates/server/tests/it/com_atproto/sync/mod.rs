//! `com.atproto.sync.*`.

mod get_blob;
mod get_blocks;
mod get_checkout;
mod get_head;
mod get_latest_commit;
mod get_record;
mod get_repo;
mod get_repo_status;
mod list_blobs;
mod list_repos;
mod list_repos_by_collection;
mod subscribe_repos;

use allod_atproto::{
    Cid, Did,
    car::{self, Car},
    did_doc::DidDocument,
    repo::SignedCommit,
};
use allod_testkit::{Actor, Reply, TestPds};
use serde_json::{Value, json};

const NOBODY: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
const NOTES: &str = "com.example.note";
const APPLY: &str = "com.atproto.repo.applyWrites";
const WRITES_PER_CALL: usize = 200;

fn create(key: &str, value: &Value) -> Value {
    json!({ "$type": format!("{APPLY}#create"), "collection": NOTES, "rkey": key, "value": value })
}

fn update(key: &str, value: &Value) -> Value {
    json!({ "$type": format!("{APPLY}#update"), "collection": NOTES, "rkey": key, "value": value })
}

fn delete(key: &str) -> Value {
    json!({ "$type": format!("{APPLY}#delete"), "collection": NOTES, "rkey": key })
}

/// Applies writes in one commit and gives its revision.
async fn apply(pds: &TestPds, actor: &Actor, writes: &[Value]) -> String {
    let body = json!({ "repo": actor.did, "writes": writes });
    let done = pds.xrpc_post(APPLY).bearer(&actor.access).json(&body).ok().await;
    done["commit"]["rev"].as_str().unwrap().to_owned()
}

/// Creates records of about `bytes` bytes under the keys `r0000` and so on.
async fn fill(pds: &TestPds, actor: &Actor, records: usize, bytes: usize) {
    let text = "x".repeat(bytes);
    let writes: Vec<Value> =
        (0..records).map(|n| create(&format!("r{n:04}"), &json!({ "n": n, "text": text }))).collect();
    for writes in writes.chunks(WRITES_PER_CALL.min(100_000 / bytes.max(1))) {
        apply(pds, actor, writes).await;
    }
}

/// A CAR file as it came.
struct File {
    bytes: Vec<u8>,
    /// The blocks in their order.
    order: Vec<Cid>,
}

impl File {
    fn new(bytes: &[u8]) -> Self {
        let mut reader = car::Reader::new(car::Limits::REPOSITORY);
        reader.push(bytes).unwrap();
        let order = std::iter::from_fn(|| reader.next_block().unwrap()).map(|block| block.cid).collect();
        reader.finish().unwrap();
        Self { bytes: bytes.to_vec(), order }
    }

    fn of(reply: &Reply) -> Self {
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
        assert_eq!(reply.headers["content-type"], "application/vnd.ipld.car");
        Self::new(&reply.body)
    }

    fn car(&self) -> Car<'_> {
        car::read(&self.bytes, &car::Limits::REPOSITORY).unwrap()
    }

    /// The commit, which must be the root and be signed by the DID's key.
    async fn commit(&self, pds: &TestPds, did: &Did) -> SignedCommit {
        let car = self.car();
        assert_eq!(car.roots().len(), 1);
        let commit = SignedCommit::parse(car.get(&car.root().unwrap()).unwrap()).unwrap();
        let document = DidDocument::from_json(pds.plc().document(did.as_str()).await.unwrap(), did).unwrap();
        commit.verify(&document.signing_key().unwrap()).unwrap();
        assert_eq!((&commit.commit().did, commit.commit().prev), (did, None));
        commit
    }
}
