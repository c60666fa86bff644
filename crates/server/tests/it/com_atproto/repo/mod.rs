//! `com.atproto.repo.*`.

mod apply_writes;
mod create_record;
mod delete_record;
mod describe_repo;
mod get_record;
mod import_repo;
mod list_missing_blobs;
mod list_records;
mod put_record;
mod upload_blob;

use allod_testkit::{Actor, Call, TestPds};
use serde_json::{Value, json};

use crate::seen::{self, refusal};

const POSTS: &str = "app.bsky.feed.post";
const CREATE: &str = "com.atproto.repo.createRecord";
const PUT: &str = "com.atproto.repo.putRecord";
const DELETE: &str = "com.atproto.repo.deleteRecord";
const APPLY: &str = "com.atproto.repo.applyWrites";
const GET: &str = "com.atproto.repo.getRecord";
const LIST: &str = "com.atproto.repo.listRecords";
const NOBODY: &str = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";

/// A post as apps make it.
fn post(text: &str) -> Value {
    json!({ "$type": POSTS, "text": text, "createdAt": "2026-11-25T12:00:00.000Z" })
}

/// A call of a writing method by somebody who names their own repository.
fn write(pds: &TestPds, actor: &Actor, nsid: &str, mut body: Value) -> Call {
    body["repo"] = json!(actor.did);
    pds.xrpc_post(nsid).bearer(&actor.access).json(&body)
}

/// Creates a post and gives the answer.
async fn create_post(pds: &TestPds, actor: &Actor, text: &str) -> Value {
    write(pds, actor, CREATE, json!({ "collection": POSTS, "record": post(text) })).ok().await
}

/// The newest commit's CID and revision.
async fn latest(pds: &TestPds, actor: &Actor) -> (String, String) {
    let latest = pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", &actor.did).ok().await;
    (text(&latest["cid"]), text(&latest["rev"]))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// The key at the end of a record's URI.
fn key_of(answer: &Value) -> String {
    text(&answer["uri"]).rsplit_once('/').unwrap().1.to_owned()
}

/// Checks who may call a writing method, and that nothing changes when others do.
async fn only_the_owner_writes(nsid: &str, body: Value) {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let before = latest(&pds, &alice).await;
    let to = |repo: &str| {
        let mut body = body.clone();
        body["repo"] = json!(repo);
        body
    };
    let own = to(alice.did.as_str());
    let refused = pds.xrpc_post(nsid).json(&own).error().await;
    assert_eq!(refused, refusal(401, "AuthMissing", "Authentication Required"));
    let refused = pds.xrpc_post(nsid).bearer("nonsense").json(&own).error().await;
    assert_eq!((refused.0, refused.1.as_str()), (400, "InvalidToken"));
    let refused = pds.xrpc_post(nsid).bearer(&alice.refresh).json(&own).error().await;
    assert_eq!((refused.0, refused.1.as_str()), (400, "InvalidToken"));
    let refused = pds.xrpc_post(nsid).admin().json(&own).error().await;
    assert_eq!((refused.0, refused.1.as_str()), (400, "InvalidToken"));
    for repo in [alice.did.as_str(), alice.handle.as_str()] {
        let refused = pds.xrpc_post(nsid).bearer(&bob.access).json(&to(repo)).error().await;
        assert_eq!(refused, refusal(401, "AuthenticationRequired", "Authentication Required"));
    }
    for repo in [NOBODY, "nobody.test"] {
        let refused = pds.xrpc_post(nsid).bearer(&bob.access).json(&to(repo)).error().await;
        assert_eq!(refused, refusal(403, "AccountNotFound", "Account not found"));
    }
    seen::wrong_verb(pds.xrpc_get(nsid), "GET", "POST").await;
    seen::deactivate(&pds, &alice.did).await;
    let refused = pds.xrpc_post(nsid).bearer(&alice.access).json(&own).error().await;
    assert_eq!(refused, refusal(401, "AccountDeactivated", "Account is deactivated"));
    seen::take_down(&pds, &alice.did).await;
    let refused = pds.xrpc_post(nsid).bearer(&alice.access).json(&own).error().await;
    assert_eq!(refused, refusal(401, "AccountTakedown", "Account has been taken down"));
    let call = pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", &alice.did).admin();
    assert_eq!(call.ok().await["cid"], before.0);
}
