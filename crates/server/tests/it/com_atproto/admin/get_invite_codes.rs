//! `com.atproto.admin.getInviteCodes`.

use allod_testkit::TestPds;
use serde_json::Value;

use super::{nobody_else, wrong_get};
use crate::seen::refusal;

const NSID: &str = "com.atproto.admin.getInviteCodes";

fn codes(page: &Value) -> Vec<String> {
    page["codes"].as_array().unwrap().iter().map(|code| code["code"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn lists_by_age_and_by_use_in_pages() {
    let pds = TestPds::options().invite_required().start().await;
    pds.account("alice").await;
    for _ in 0..4 {
        pds.advance(std::time::Duration::from_secs(1));
        pds.invite(2).await;
    }
    for sort in ["recent", "usage"] {
        let all = codes(&pds.xrpc_get(NSID).admin().param("sort", sort).ok().await);
        assert_eq!(all.len(), 5);
        let mut paged = Vec::new();
        let mut cursor: Option<String> = None;
        loop {
            let mut call = pds.xrpc_get(NSID).admin().param("sort", sort).param("limit", 2);
            if let Some(cursor) = &cursor {
                call = call.param("cursor", cursor);
            }
            let page = call.ok().await;
            paged.extend(codes(&page));
            cursor = page["cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(paged, all, "{sort}");
    }
    let used = pds.xrpc_get(NSID).admin().param("sort", "usage").ok().await;
    assert_eq!(used["codes"][0]["uses"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn refuses_others_and_what_it_does_not_know() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    nobody_else(&pds, || pds.xrpc_get(NSID)).await;
    wrong_get(&pds, NSID).await;
    let refused = pds.xrpc_get(NSID).admin().param("sort", "colour").error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "unknown sort method: colour"));
    for cursor in ["x", "x::y"] {
        let refused = pds.xrpc_get(NSID).admin().param("cursor", cursor).error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", "Malformed cursor"));
    }
}
