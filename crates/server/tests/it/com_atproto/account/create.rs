//! `com.atproto.account.create`.

use allod_atproto::crypto::Curve;
use allod_testkit::TestPds;
use serde_json::{Value, json};

use crate::{
    elsewhere::key,
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.account.create";

fn alice() -> Value {
    json!({ "handle": "alice.test", "email": "alice@mail.test", "password": "correct horse" })
}

fn with(field: &str, value: &str) -> Value {
    let mut body = alice();
    body[field] = value.into();
    body
}

#[tokio::test]
async fn makes_the_same_account_as_todays_method() {
    let pds = TestPds::options().invite_required().start().await;
    let mut body = with("inviteCode", &pds.invite(1).await);
    body["recoveryKey"] = key(Curve::P256, 7).did_key().to_string().into();
    let answer = pds.xrpc_post(NSID).json(&body).ok().await;
    let mut fields: Vec<&String> = answer.as_object().unwrap().keys().collect();
    fields.sort_unstable();
    assert_eq!(fields, ["accessJwt", "did", "handle", "refreshJwt"]);
    assert_eq!(answer["handle"], "alice.test");
    assert_eq!(pds.events().await.len(), 4);
    let submitted = &pds.plc().submissions()[0].operation;
    assert_eq!(submitted["rotationKeys"][0], body["recoveryKey"]);

    let sign_in = json!({ "identifier": "alice.test", "password": "correct horse" });
    let session = pds.xrpc_post("com.atproto.server.createSession").json(&sign_in).ok().await;
    assert_eq!(session["did"], answer["did"]);
}

#[tokio::test]
async fn answers_every_error_it_declares_and_no_other_name() {
    let pds = TestPds::start().await;
    let alices = pds.account("bob").await;
    let cases = [
        (with("handle", "al"), refusal_name("InvalidHandle")),
        (with("handle", "alice.com"), refusal(400, "InvalidHandle", "Not a supported handle domain")),
        (
            with("password", "short"),
            refusal(400, "InvalidPassword", "Password too short. Minimum length is 8 characters."),
        ),
        (with("inviteCode", "wrong"), refusal(400, "InvalidInviteCode", "Provided invite code not available")),
        (with("handle", alices.handle.as_str()), refusal(400, "HandleNotAvailable", "Handle already taken: bob.test")),
        (with("handle", "admin.test"), refusal(400, "HandleNotAvailable", "Reserved handle")),
        (with("email", "BOB@mail.test"), refusal(400, "InvalidRequest", "Email already taken: BOB@mail.test")),
        (
            with("recoveryKey", "x"),
            refusal(400, "InvalidRequest", "recoveryKey is not a did:key with a P-256 or K-256 public key"),
        ),
    ];
    let heard = pds.plc().submissions().len();
    for (body, expected) in cases {
        let (status, name, message) = pds.xrpc_post(NSID).json(&body).error().await;
        assert_eq!((status, &name), (expected.0, &expected.1), "{body}: {message}");
        assert!(expected.2.is_empty() || message == expected.2, "{body}: {message}");
    }
    assert_eq!(pds.plc().submissions().len(), heard);
}

fn refusal_name(name: &str) -> seen::Refusal {
    refusal(400, name, "")
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let pds = TestPds::start().await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    for field in ["handle", "email", "password"] {
        let mut body = alice();
        body.as_object_mut().unwrap().remove(field);
        let message = format!("Missing required key \"{field}\" at $");
        assert_eq!(pds.xrpc_post(NSID).json(&body).error().await, refusal(400, "InvalidRequest", &message));
        body[field] = json!(5);
        assert_eq!(pds.xrpc_post(NSID).json(&body).error().await.0, 400);
    }
    seen::nothing_happened(&pds).await;
    // This method never brought an identity along, so a field of that name is one it does not know.
    let mut body = alice();
    body["did"] = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa".into();
    assert_ne!(pds.xrpc_post(NSID).json(&body).ok().await["did"], body["did"]);
}
