//! `com.atproto.temp.checkHandleAvailability`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.temp.checkHandleAvailability";

#[tokio::test]
async fn tells_and_suggests_others() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    pds.account("alice2").await;
    let ask = |handle: &str| pds.xrpc_get(NSID).param("handle", handle);
    let free = ask("bob.test").param("email", "bob@example.com").ok().await;
    let available = json!({ "$type": "com.atproto.temp.checkHandleAvailability#resultAvailable" });
    assert_eq!(free, json!({ "handle": "bob.test", "result": available }));
    for (handle, first) in [("alice.test", "alice1.test"), ("admin.test", "admin1.test")] {
        let taken = ask(handle).ok().await;
        let result = &taken["result"];
        assert_eq!(result["$type"], "com.atproto.temp.checkHandleAvailability#resultUnavailable");
        let suggestions = result["suggestions"].as_array().unwrap();
        assert_eq!((suggestions.len(), &suggestions[0]["handle"]), (5, &json!(first)));
        assert!(!suggestions.iter().any(|one| one["handle"] == "alice2.test"));
        for one in suggestions {
            let result = &ask(one["handle"].as_str().unwrap()).ok().await["result"];
            assert_eq!(*result, available);
        }
    }
}

#[tokio::test]
async fn refuses_what_nobody_could_have() {
    let pds = TestPds::start().await;
    let ask = |handle: &str| pds.xrpc_get(NSID).param("handle", handle);
    let domain = refusal(400, "InvalidRequest", "Not a supported handle domain");
    assert_eq!(ask("bob.example.com").error().await, domain);
    assert_eq!(ask("ab.test").error().await, refusal(400, "InvalidRequest", "Handle too short"));
    let email = refusal(400, "InvalidEmail", "Invalid email");
    assert_eq!(ask("bob.test").param("email", "nonsense").error().await, email);
    assert_eq!(ask("nonsense").error().await.0, 400);
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
}
