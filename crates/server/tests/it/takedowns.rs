//! What is taken down is not to be had by any path: one table of all that read, walked for each kind of subject.
//!
//! Of a record that is taken down, its block stays where the signed tree is shown: without it nobody could check the
//! rest. See docs/deviations.md.

use allod_atproto::Cid;
use allod_store::tables::repos;
use allod_testkit::{Actor, Call, TestPds};
use serde_json::{Value, json};

use crate::{
    blobs::{upload, uploaded},
    com_atproto::admin::repo_ref,
    seen::{self, refusal},
};

const COLLECTION: &str = "com.example.note";

/// A record with a blob, by somebody; and where all that is.
struct World {
    pds: TestPds,
    alice: Actor,
    uri: String,
    record: Cid,
    blob: Cid,
}

/// What a path shows.
#[derive(Debug, PartialEq, Eq, Clone, Copy)]
enum Sees {
    /// The subject.
    It,
    /// Not the subject.
    Nothing,
}

impl World {
    async fn new() -> Self {
        let pds = TestPds::start().await;
        let alice = pds.account("alice").await;
        let blob = uploaded(&pds, &alice, b"a picture").await;
        let reference =
            json!({ "$type": "blob", "ref": { "$link": blob.to_string() }, "mimeType": "text/plain", "size": 9 });
        let record = json!({ "$type": COLLECTION, "picture": reference });
        let body = json!({ "repo": alice.did, "collection": COLLECTION, "rkey": "one", "record": record });
        let made = pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&body).ok().await;
        let uri = made["uri"].as_str().unwrap().to_owned();
        let record = Cid::parse(made["cid"].as_str().unwrap()).unwrap();
        Self { pds, alice, uri, record, blob }
    }

    fn subject(&self, kind: &str) -> Value {
        match kind {
            "account" => repo_ref(&self.alice),
            "record" => {
                json!({ "$type": "com.atproto.repo.strongRef", "uri": self.uri, "cid": self.record.to_string() })
            }
            _ => {
                let cid = self.blob.to_string();
                json!({ "$type": "com.atproto.admin.defs#repoBlobRef", "did": self.alice.did, "cid": cid })
            }
        }
    }

    fn get(&self, nsid: &str) -> Call {
        self.pds.xrpc_get(nsid)
    }

    fn sync(&self, method: &str) -> Call {
        self.get(&format!("com.atproto.sync.{method}")).param("did", &self.alice.did)
    }

    fn repo(&self, method: &str) -> Call {
        self.get(&format!("com.atproto.repo.{method}")).param("repo", &self.alice.did)
    }

    /// Whether each path shows the account, the record and the blob.
    async fn walk(&self) -> Vec<(&'static str, Sees)> {
        let contains = async |call: Call, text: &str| {
            let reply = call.send().await;
            let found = reply.body.windows(text.len()).any(|bytes| bytes == text.as_bytes());
            if reply.status.is_success() && found { Sees::It } else { Sees::Nothing }
        };
        let succeeds = async |call: Call| if call.send().await.status.is_success() { Sees::It } else { Sees::Nothing };
        let commit = repos::head_of(&*self.pds.app().db, &self.alice.did).await.unwrap().unwrap().commit;
        let (did, record, blob) = (self.alice.did.as_str(), self.record.to_string(), self.blob.to_string());
        let key = |call: Call| call.param("collection", COLLECTION).param("rkey", "one");
        let body = json!({ "identifier": did, "password": self.alice.password });
        let sign_in = || self.pds.xrpc_post("com.atproto.server.createSession").json(&body);
        let refresh = self.pds.xrpc_post("com.atproto.server.refreshSession").bearer(&self.alice.refresh);
        let page = format!("{}/.well-known/atproto-did", self.pds.url());
        let page = self.pds.client().get(page).header("host", "alice.test").send().await.unwrap();
        let page = page.text().await.unwrap();
        vec![
            ("getRecord", contains(key(self.repo("getRecord")), &record).await),
            ("getRecord by handle", {
                let call = self.get("com.atproto.repo.getRecord").param("repo", "alice.test");
                contains(key(call), &record).await
            }),
            ("listRecords", contains(self.repo("listRecords").param("collection", COLLECTION), &record).await),
            ("describeRepo", contains(self.repo("describeRepo"), did).await),
            ("resolveHandle", {
                let call = self.get("com.atproto.identity.resolveHandle").param("handle", "alice.test");
                contains(call, did).await
            }),
            ("atproto-did", if page.trim() == did { Sees::It } else { Sees::Nothing }),
            ("sync.getRecord", succeeds(key(self.sync("getRecord"))).await),
            ("getBlocks", succeeds(self.sync("getBlocks").param("cids", &record)).await),
            ("getRepo", succeeds(self.sync("getRepo")).await),
            ("getCheckout", succeeds(self.sync("getCheckout")).await),
            ("getHead", contains(self.sync("getHead"), &commit.to_string()).await),
            ("getLatestCommit", contains(self.sync("getLatestCommit"), &commit.to_string()).await),
            ("getRepoStatus", contains(self.sync("getRepoStatus"), "\"active\":true").await),
            ("listRepos", {
                let list = self.get("com.atproto.sync.listRepos").ok().await;
                let is_active = |repo: &Value| repo["did"] == did && repo["active"] == true;
                if list["repos"].as_array().unwrap().iter().any(is_active) { Sees::It } else { Sees::Nothing }
            }),
            ("listReposByCollection", {
                let call = self.get("com.atproto.sync.listReposByCollection").param("collection", COLLECTION);
                contains(call, did).await
            }),
            ("getBlob", contains(self.sync("getBlob").param("cid", &blob), "a picture").await),
            ("listBlobs", contains(self.sync("listBlobs"), &blob).await),
            ("uploadBlob again", {
                let bob = self.pds.sign_in("bob").await;
                succeeds(upload(&self.pds, &bob, "text/plain", "a picture")).await
            }),
            ("createSession", succeeds(sign_in()).await),
            ("getSession", { succeeds(self.get("com.atproto.server.getSession").bearer(&self.alice.access)).await }),
            ("refreshSession", succeeds(refresh).await),
            ("firehose backfill", {
                let mut stream = self.pds.subscribe(Some(0)).await;
                let first = stream.frame().await;
                if first.seq == Some(1) { Sees::It } else { Sees::Nothing }
            }),
        ]
    }
}

/// The paths that a takedown of each kind closes.
const CLOSED: &[(&str, &[&str])] = &[
    (
        "account",
        &[
            "getRecord",
            "getRecord by handle",
            "listRecords",
            "describeRepo",
            "resolveHandle",
            "atproto-did",
            "sync.getRecord",
            "getBlocks",
            "getRepo",
            "getCheckout",
            "getHead",
            "getLatestCommit",
            "getRepoStatus",
            "listRepos",
            "listReposByCollection",
            "getBlob",
            "listBlobs",
            "createSession",
            "getSession",
            "refreshSession",
            "firehose backfill",
        ],
    ),
    ("record", &["getRecord", "getRecord by handle", "listRecords"]),
    ("blob", &["getBlob", "listBlobs", "uploadBlob again"]),
];

#[tokio::test]
async fn each_kind_of_takedown_closes_its_paths_and_no_others_and_opens_them_again() {
    for (kind, closed) in CLOSED {
        let mut world = World::new().await;
        world.pds.account("bob").await;
        let before = world.walk().await;
        let dark: Vec<_> = before.iter().filter(|(_, sees)| *sees == Sees::Nothing).collect();
        assert!(dark.is_empty(), "{dark:?}");
        world.alice = world.pds.sign_in("alice").await;
        seen::set_takedown(&world.pds, &world.subject(kind), Some("a-report")).await;
        for restarted in [false, true] {
            let walked = world.walk().await;
            let hidden: Vec<_> =
                walked.iter().filter(|(_, sees)| *sees == Sees::Nothing).map(|(path, _)| *path).collect();
            assert_eq!(hidden, *closed, "{kind}, restarted: {restarted}");
            world.pds.restart().await;
        }
        seen::set_takedown(&world.pds, &world.subject(kind), None).await;
        world.alice = world.pds.sign_in("alice").await;
        assert_eq!(world.walk().await, before, "{kind}");
    }
}

#[tokio::test]
async fn taken_down_bytes_are_hidden_whoever_has_them_and_not_missed() {
    let world = World::new().await;
    let bob = world.pds.account("bob").await;
    let blob = uploaded(&world.pds, &bob, b"a picture").await;
    crate::blobs::refer(&world.pds, &bob.did, "b", 1, &[blob]).await;
    let get = || crate::blobs::get(&world.pds, &bob.did, &blob);
    assert_eq!(get().send().await.body, "a picture");
    seen::set_takedown(&world.pds, &world.subject("blob"), Some("a-report")).await;
    assert_eq!(get().error().await, refusal(400, "BlobNotFound", "Blob not found"));
    let carol = world.pds.account("carol").await;
    crate::blobs::refer_missing(&world.pds, &carol.did, "c", &[blob]).await;
    let missing = world.pds.xrpc_get("com.atproto.repo.listMissingBlobs").bearer(&carol.access);
    assert_eq!(missing.ok().await["blobs"], json!([]));
    let reference =
        json!({ "$type": "blob", "ref": { "$link": blob.to_string() }, "mimeType": "text/plain", "size": 9 });
    let record = json!({ "$type": COLLECTION, "picture": reference });
    let body = json!({ "repo": bob.did, "collection": COLLECTION, "record": record });
    let written = world.pds.xrpc_post("com.atproto.repo.createRecord").bearer(&bob.access).json(&body);
    assert_eq!(written.error().await.1, "BlobNotFound");
}

#[tokio::test]
async fn the_operator_and_the_owner_still_read_what_is_taken_down() {
    let world = World::new().await;
    seen::take_down(&world.pds, &world.alice.did).await;
    let owner = seen::signed_in_after_takedown(&world.pds, world.alice.clone()).await;
    for method in ["getRepo", "listBlobs"] {
        assert_eq!(world.sync(method).bearer(&owner.access).send().await.status, 200, "{method}");
        assert_eq!(world.sync(method).admin().send().await.status, 200, "{method}");
        assert_eq!(world.sync(method).error().await.1, "RepoTakendown", "{method}");
    }
    let blob = || world.sync("getBlob").param("cid", world.blob);
    assert_eq!(blob().bearer(&owner.access).send().await.body, "a picture");
    assert_eq!(blob().admin().send().await.body, "a picture");
}
