//! `com.atproto.admin.sendEmail`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{nobody_else, wrong_post};
use crate::seen::refusal;

const NSID: &str = "com.atproto.admin.sendEmail";
const SENDER: &str = "did:web:mod.example.com";

#[tokio::test]
async fn the_owner_gets_the_letter() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for subject in [Some("About your account"), None] {
        let mut body = json!({ "recipientDid": alice.did, "senderDid": SENDER, "content": "<p>Hello there</p>" });
        if let Some(subject) = subject {
            body["subject"] = subject.into();
        }
        assert_eq!(pds.xrpc_post(NSID).admin().json(&body).ok().await, json!({ "sent": true }));
        let letter = pds.mail().await.pop().unwrap();
        assert_eq!(
            (letter.to, letter.subject.as_str()),
            (alice.email.clone(), subject.unwrap_or("Message via your PDS"))
        );
        assert!(letter.html.contains("Hello there"), "{}", letter.html);
    }
}

#[tokio::test]
async fn refuses_others_the_unknown_and_broken_subjects() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = |did: &str, subject: &str| json!({ "recipientDid": did, "senderDid": SENDER, "content": "x", "subject": subject });
    nobody_else(&pds, || pds.xrpc_post(NSID).json(&body(alice.did.as_str(), "x"))).await;
    wrong_post(&pds, NSID).await;
    let unknown = body("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "x");
    let missing = refusal(400, "InvalidRequest", "Recipient not found");
    assert_eq!(pds.xrpc_post(NSID).admin().json(&unknown).error().await, missing);
    for subject in ["a\r\nBcc: everybody@example.com".to_owned(), "x".repeat(201)] {
        let refused = pds.xrpc_post(NSID).admin().json(&body(alice.did.as_str(), &subject)).error().await;
        let message = "a subject is one line of 200 characters at the most";
        assert_eq!(refused, refusal(400, "InvalidRequest", message));
    }
    assert!(pds.mail().await.is_empty());
}
