//! `com.atproto.server.requestEmailConfirmation`.

use allod_testkit::TestPds;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.requestEmailConfirmation";

#[tokio::test]
async fn mails_a_code_in_two_forms_of_one_letter() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).send().await.status, 200);
    let code = pds.code_mailed_to(&alice.email).await;
    let mail = pds.mail().await;
    let letter = mail.last().unwrap();
    assert_eq!((mail.len(), letter.subject.as_str()), (1, "Email Confirmation"));
    assert!(letter.html.contains(&code) && letter.text.contains("alice.test") && letter.text.contains("Test PDS"));
}

#[tokio::test]
async fn a_newer_letter_takes_the_place_of_one_that_was_not_sent() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for _ in 0..3 {
        pds.xrpc_post(NSID).bearer(&alice.access).send().await;
    }
    let code = pds.code_mailed_to(&alice.email).await;
    let body = serde_json::json!({ "email": alice.email, "token": code });
    let confirm = pds.xrpc_post("com.atproto.server.confirmEmail").bearer(&alice.access).json(&body);
    assert_eq!(confirm.send().await.status, 200, "the newest code is the good one");
}

#[tokio::test]
async fn nothing_but_an_access_token_opens_it() {
    let pds = TestPds::start().await;
    assert_eq!(pds.xrpc_post(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}

#[tokio::test]
async fn an_account_without_an_address_is_told_so() {
    let pds = TestPds::options().config(|config| config.sign_up.email_required = false).start().await;
    let body = serde_json::json!({ "handle": "alice.test", "password": "password-of-alice" });
    let alice = pds.xrpc_post("com.atproto.server.createAccount").json(&body).ok().await;
    let call = pds.xrpc_post(NSID).bearer(alice["accessJwt"].as_str().unwrap());
    assert_eq!(call.error().await, refusal(400, "InvalidRequest", "account does not have an email address"));
}
