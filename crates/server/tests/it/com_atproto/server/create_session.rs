//! `com.atproto.server.createSession`.

use allod_testkit::{Call, TestPds};
use serde_json::{Value, json};

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.createSession";

fn sign_in(pds: &TestPds, identifier: &str, password: &str) -> Call {
    pds.xrpc_post(NSID).json(&json!({ "identifier": identifier, "password": password }))
}

fn field<'a>(value: &'a Value, name: &str) -> &'a str {
    value[name].as_str().unwrap()
}

#[tokio::test]
async fn by_handle_did_or_email_in_any_case() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let did = alice.did.as_str();
    for identifier in ["alice.test", "Alice.TEST", did, "alice@mail.test", "ALICE@Mail.test", " alice.test "] {
        let answer = sign_in(&pds, identifier, &alice.password).ok().await;
        let expected = json!({
            "accessJwt": answer["accessJwt"],
            "refreshJwt": answer["refreshJwt"],
            "did": did,
            "didDoc": pds.plc().document(did).await.unwrap(),
            "handle": "alice.test",
            "email": "alice@mail.test",
            "emailConfirmed": false,
            "emailAuthFactor": false,
            "active": true,
        });
        assert_eq!(answer, expected, "{identifier}");
        let session = pds.xrpc_get("com.atproto.server.getSession").bearer(field(&answer, "accessJwt"));
        assert_eq!(session.ok().await["did"], did);
        pds.xrpc_post("com.atproto.server.refreshSession").bearer(field(&answer, "refreshJwt")).ok().await;
    }
}

#[tokio::test]
async fn an_unknown_account_and_a_wrong_password_look_the_same() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let expected = refusal(401, "AuthenticationRequired", "Invalid identifier or password");
    for (identifier, password) in [
        ("alice.test", "wrong"),
        ("alice.test", ""),
        ("alice.test", "Password-of-alice"),
        ("alice@mail.test", "wrong"),
        (alice.did.as_str(), "wrong"),
        ("nobody.test", alice.password.as_str()),
        ("nobody@mail.test", alice.password.as_str()),
        ("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "wrong"),
        ("alice", alice.password.as_str()),
        ("@alice.test", alice.password.as_str()),
        ("", ""),
        ("' OR 1=1 --", "x"),
        ("a\u{0}b@mail.test", "x"),
    ] {
        assert_eq!(sign_in(&pds, identifier, password).error().await, expected, "{identifier:?}");
    }
    let (known, unknown) =
        (sign_in(&pds, "alice.test", "wrong").send().await, sign_in(&pds, "bob.test", "wrong").send().await);
    assert_eq!(known.body, unknown.body);
    let names = |reply: &allod_testkit::Reply| reply.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&known), names(&unknown));
}

#[tokio::test]
async fn a_password_too_long_for_anybody_is_not_hashed() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    let too_long = refusal(401, "AuthenticationRequired", "Password too long. Consider resetting your password.");
    for identifier in ["alice.test", "nobody.test"] {
        assert_eq!(sign_in(&pds, identifier, &"a".repeat(513)).error().await, too_long);
        let wrong = refusal(401, "AuthenticationRequired", "Invalid identifier or password");
        assert_eq!(sign_in(&pds, identifier, &"a".repeat(512)).error().await, wrong);
    }
}

#[tokio::test]
async fn a_taken_down_account_is_told_so_only_with_its_password() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::take_down(&pds, &alice.did).await;
    let taken_down = refusal(401, "AccountTakedown", "Account has been taken down");
    assert_eq!(sign_in(&pds, "alice.test", &alice.password).error().await, taken_down);
    let wrong = refusal(401, "AuthenticationRequired", "Invalid identifier or password");
    assert_eq!(sign_in(&pds, "alice.test", "wrong").error().await, wrong);
}

#[tokio::test]
async fn a_deactivated_account_signs_in() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::deactivate(&pds, &alice.did).await;
    let answer = sign_in(&pds, "alice.test", &alice.password).ok().await;
    assert_eq!((&answer["active"], &answer["status"]), (&json!(false), &json!("deactivated")));
}

#[tokio::test]
async fn a_credential_is_not_looked_at() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    sign_in(&pds, "alice.test", &alice.password).bearer("nonsense").ok().await;
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let pds = TestPds::start().await;
    for (body, message) in [
        (json!({}), "Missing required key \"identifier\" at $"),
        (json!({ "identifier": "alice.test" }), "Missing required key \"password\" at $"),
        (json!({ "identifier": 5, "password": "x" }), "Expected string value type (got 5) at $.identifier"),
        (json!({ "identifier": "x", "password": ["x"] }), "Expected string value type (got array) at $.password"),
    ] {
        assert_eq!(pds.xrpc_post(NSID).json(&body).error().await, refusal(400, "InvalidRequest", message));
    }
    let (status, name, _) = pds.xrpc_post(NSID).body("application/json", "{").error().await;
    assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
    let huge = "x".repeat(200 * 1024);
    assert_eq!(sign_in(&pds, &huge, "x").error().await.0, 413);
}
