//! `com.atproto.server.describeServer`.

use allod_testkit::TestPds;
use serde_json::json;

use crate::seen;

const NSID: &str = "com.atproto.server.describeServer";

#[tokio::test]
async fn tells_what_a_sign_up_needs() {
    let pds = TestPds::start().await;
    let expected = json!({
        "did": "did:web:localhost",
        "availableUserDomains": [".test"],
        "inviteCodeRequired": false,
        "blobUploadLimit": 5 * 1024 * 1024,
        "links": {},
        "contact": {},
    });
    assert_eq!(pds.xrpc_get(NSID).ok().await, expected);
    assert_eq!(pds.xrpc_get(NSID).bearer("nonsense").param("unknown", "x").ok().await, expected, "asked by anybody");
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
}

#[tokio::test]
async fn tells_what_the_operator_chose() {
    let options = TestPds::options().invite_required().handle_domains(&[".one.test", ".two.test"]).config(|config| {
        config.service.privacy_policy_url = Some("https://example.com/privacy".to_owned());
        config.service.terms_of_service_url = Some("https://example.com/terms".to_owned());
        config.service.contact_email = Some("help@example.com".to_owned());
    });
    let pds = options.start().await;
    let expected = json!({
        "did": "did:web:localhost",
        "availableUserDomains": [".one.test", ".two.test"],
        "inviteCodeRequired": true,
        "blobUploadLimit": 5 * 1024 * 1024,
        "links": { "privacyPolicy": "https://example.com/privacy", "termsOfService": "https://example.com/terms" },
        "contact": { "email": "help@example.com" },
    });
    assert_eq!(pds.xrpc_get(NSID).ok().await, expected);
    assert_eq!(pds.account("alice").await.handle.as_str(), "alice.one.test");
}

#[tokio::test]
async fn a_head_request_has_no_body() {
    let pds = TestPds::start().await;
    let response = pds.client().head(format!("{}/xrpc/{NSID}", pds.url())).send().await.unwrap();
    assert_eq!(response.status(), 200);
    assert!(
        response.content_length().is_some_and(|bytes| bytes > 0) || response.headers().contains_key("content-length")
    );
    assert!(response.bytes().await.unwrap().is_empty());
}

#[tokio::test]
async fn tells_that_a_sign_up_needs_a_telephone_number() {
    let pds = crate::phones::development().start().await;
    assert_eq!(pds.xrpc_get("com.atproto.server.describeServer").ok().await["phoneVerificationRequired"], true);
}
