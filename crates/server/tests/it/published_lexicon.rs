//! A record that another server holds, written here: the same JSON has the same CID.

use allod_testkit::{TestPds, read_json};
use serde_json::{Value, json};

/// A public page that shows a record and its CID; the source is beside it.
const PAGE: &str = include_str!("../vectors/lexicon-garden/createAccount.txt");
const SCHEMAS: &str = "com.atproto.lexicon.schema";
const KEY: &str = "com.atproto.server.createAccount";

/// The record on the page.
fn record() -> Value {
    read_json(&PAGE[PAGE.find('{').unwrap()..=PAGE.rfind('}').unwrap()])
}

/// The line of the page below the line that names it.
fn below<'a>(title: &str) -> &'a str {
    PAGE.lines().skip_while(|line| *line != title).nth(1).unwrap()
}

#[tokio::test]
async fn a_published_lexicon_has_the_cid_that_it_has_elsewhere() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let cid = below("CID");
    assert!(cid.starts_with("bafyrei"), "{cid}");
    let whole = json!({ "repo": alice.did, "collection": SCHEMAS, "rkey": KEY, "record": record() });

    let created = pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&whole).ok().await;
    assert_eq!(created["cid"], cid);
    assert_eq!(created["uri"], format!("at://{}/{SCHEMAS}/{KEY}", alice.did));
    assert!(below("AT-URI").ends_with(&format!("/{SCHEMAS}/{KEY}")));

    let read = pds.xrpc_get("com.atproto.repo.getRecord");
    let read = read.param("repo", &alice.did).param("collection", SCHEMAS).param("rkey", KEY).ok().await;
    assert_eq!((&read["cid"], &read["value"]), (&json!(cid), &record()));
}
