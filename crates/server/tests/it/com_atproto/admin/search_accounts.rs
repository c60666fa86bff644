//! `com.atproto.admin.searchAccounts`.

use allod_testkit::TestPds;
use serde_json::Value;

use super::{nobody_else, wrong_get};

const NSID: &str = "com.atproto.admin.searchAccounts";

fn handles(page: &Value) -> Vec<String> {
    page["accounts"].as_array().unwrap().iter().map(|a| a["handle"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn finds_by_the_beginning_of_the_address_in_pages() {
    let pds = TestPds::start().await;
    for name in ["bob", "alice", "carol", "albert"] {
        pds.account(name).await;
    }
    let search = |email: &str| pds.xrpc_get(NSID).admin().param("email", email);
    assert_eq!(handles(&search(" AL").ok().await), ["albert.test", "alice.test"]);
    assert_eq!(handles(&search("nobody").ok().await), Vec::<String>::new());
    let all = pds.xrpc_get(NSID).admin().ok().await;
    assert_eq!(handles(&all), ["albert.test", "alice.test", "bob.test", "carol.test"]);
    assert!(all.get("cursor").is_none());
    let first = pds.xrpc_get(NSID).admin().param("limit", 3).ok().await;
    let rest = pds.xrpc_get(NSID).admin().param("cursor", first["cursor"].as_str().unwrap()).ok().await;
    assert_eq!((handles(&first).len(), handles(&rest)), (3, vec!["carol.test".to_owned()]));
    for pattern in ["%", "_lice", "a%"] {
        assert_eq!(handles(&search(pattern).ok().await), Vec::<String>::new(), "{pattern}");
    }
}

#[tokio::test]
async fn refuses_others() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    nobody_else(&pds, || pds.xrpc_get(NSID)).await;
    wrong_get(&pds, NSID).await;
}
