//! Answers that are coded for the way.

use std::io::Read as _;

use allod_testkit::{Actor, Call, Reply, TestPds};
use http::header::{ACCEPT_ENCODING, CONTENT_ENCODING, CONTENT_LENGTH, VARY};
use serde_json::json;

const LIST: &str = "com.atproto.repo.listRecords";
const POSTS: &str = "app.bsky.feed.post";

async fn fill(pds: &TestPds, alice: &Actor) {
    let writes: Vec<_> = (0..60)
        .map(|n| {
            let post =
                json!({ "$type": POSTS, "text": format!("the {n}th post"), "createdAt": "2026-11-25T12:00:00.000Z" });
            json!({ "$type": "com.atproto.repo.applyWrites#create", "collection": POSTS, "value": post })
        })
        .collect();
    let body = json!({ "repo": alice.did, "writes": writes });
    pds.xrpc_post("com.atproto.repo.applyWrites").bearer(&alice.access).json(&body).ok().await;
}

fn coded(call: Call) -> Call {
    call.header(ACCEPT_ENCODING.as_str(), "gzip, deflate")
}

fn varies(reply: &Reply) -> bool {
    reply.headers.get_all(VARY).iter().any(|value| value.to_str().unwrap().eq_ignore_ascii_case("accept-encoding"))
}

#[tokio::test]
async fn a_page_is_coded_as_the_client_asks_and_means_the_same() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice).await;
    let list = || pds.xrpc_get(LIST).param("repo", &alice.did).param("collection", POSTS).param("limit", 60);
    let plain = list().send().await;
    assert!(!plain.headers.contains_key(CONTENT_ENCODING) && varies(&plain));
    let reply = coded(list()).send().await;
    assert_eq!(reply.headers[CONTENT_ENCODING], "gzip");
    assert_eq!(reply.headers[CONTENT_LENGTH], reply.body.len().to_string());
    assert!(varies(&reply));
    assert!(reply.body.len() * 3 < plain.body.len(), "{} of {}", reply.body.len(), plain.body.len());
    let mut decoded = Vec::new();
    flate2::read::GzDecoder::new(&reply.body[..]).read_to_end(&mut decoded).unwrap();
    assert!(decoded == plain.body);

    let url = format!("{}/xrpc/{LIST}?repo={}&collection={POSTS}&limit=60", pds.url(), alice.did);
    let head = pds.client().head(url).header(ACCEPT_ENCODING, "gzip, deflate").send().await.unwrap();
    assert_eq!(head.headers()[CONTENT_ENCODING], "gzip");
    assert_eq!(head.headers()[CONTENT_LENGTH], reply.headers[CONTENT_LENGTH]);
}

#[tokio::test]
async fn what_has_secrets_or_is_no_json_is_not_coded() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice).await;
    let session = json!({ "identifier": "alice.test", "password": alice.password });
    let preferences =
        json!({ "preferences": [{ "$type": "app.bsky.actor.defs#x", "words": "many words ".repeat(500) }] });
    pds.xrpc_post("app.bsky.actor.putPreferences").bearer(&alice.access).json(&preferences).send().await;
    for call in [
        pds.xrpc_post("com.atproto.server.createSession").json(&session),
        pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access),
        pds.xrpc_post("com.atproto.server.refreshSession").bearer(&alice.refresh),
        pds.xrpc_get("app.bsky.actor.getPreferences").bearer(&alice.access),
        pds.xrpc_get("com.atproto.admin.searchAccounts").admin(),
        pds.xrpc_get("com.atproto.sync.getRepo").param("did", &alice.did),
        pds.xrpc_get("com.atproto.server.describeServer"),
    ] {
        let reply = coded(call).send().await;
        assert_eq!(reply.status.as_u16(), 200);
        assert!(!reply.headers.contains_key(CONTENT_ENCODING), "{reply:?}");
    }
}
