//! `com.atproto.server.getSession`.

use std::time::Duration;

use allod_testkit::{Behaviour, TestPds};
use serde_json::json;

use super::refresh_session::wrong_tokens;
use crate::{
    elsewhere::Resident,
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.server.getSession";

#[tokio::test]
async fn tells_the_account() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let reply = pds.xrpc_get(NSID).bearer(&alice.access).send().await;
    let expected = json!({
        "did": alice.did,
        "didDoc": pds.plc().document(alice.did.as_str()).await.unwrap(),
        "handle": "alice.test",
        "email": "alice@mail.test",
        "emailConfirmed": false,
        "emailAuthFactor": false,
        "active": true,
    });
    assert_eq!(reply.json(), expected);
    assert_eq!(
        (&reply.headers["cache-control"], &reply.headers["vary"]),
        (&"private".parse().unwrap(), &"Authorization".parse().unwrap())
    );
}

#[tokio::test]
async fn the_did_document_is_left_out_when_it_cannot_be_had_or_is_not_wanted() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "identifier": alice.did, "password": alice.password });
    let documents = async |pds: &TestPds| {
        let sign_in = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
        let refresh = pds.xrpc_post("com.atproto.server.refreshSession");
        let refresh = refresh.bearer(sign_in["refreshJwt"].as_str().unwrap()).ok().await;
        let get = pds.xrpc_get(NSID).bearer(sign_in["accessJwt"].as_str().unwrap()).ok().await;
        [sign_in, refresh, get].map(|answer| answer.get("didDoc").is_some())
    };
    assert_eq!(documents(&pds).await, [true; 3]);
    pds.plc().behave(Behaviour::Down).await;
    pds.advance(Duration::from_hours(2));
    assert_eq!(documents(&pds).await, [true; 3], "an old one will do");
    // The restarted server has none.
    pds.restart().await;
    assert_eq!(documents(&pds).await, [false; 3]);
    pds.plc().behave(Behaviour::Work).await;
    assert_eq!(documents(&pds).await, [false; 3], "a look-up that failed is not repeated at once");
    pds.advance(Duration::from_secs(30));
    assert_eq!(documents(&pds).await, [true; 3]);

    let pds = TestPds::options().config(|config| config.identity.document_with_session = false).start().await;
    let other = pds.account("alice").await;
    assert_eq!(pds.xrpc_get(NSID).bearer(&other.access).ok().await.get("didDoc"), None);
}

#[tokio::test]
async fn a_document_that_names_another_server_is_left_out() {
    let pds = TestPds::start().await;
    let resident = Resident::new(&pds, 50).await;
    let body = json!({
        "did": resident.did, "handle": "alice.test", "email": "alice@mail.test", "password": "password-of-alice",
    });
    let create = pds.xrpc_post("com.atproto.server.createAccount").json(&body);
    create.bearer(&resident.token(&pds)).ok().await;
    let body = json!({ "identifier": resident.did, "password": "password-of-alice" });
    let sign_in = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
    let refresh = pds.xrpc_post("com.atproto.server.refreshSession");
    let refresh = refresh.bearer(sign_in["refreshJwt"].as_str().unwrap()).ok().await;
    let get = pds.xrpc_get(NSID).bearer(refresh["accessJwt"].as_str().unwrap()).ok().await;
    for answer in [sign_in, refresh, get] {
        assert_eq!((&answer["active"], answer.get("didDoc")), (&json!(false), None));
    }
}

#[tokio::test]
async fn nothing_but_an_access_token_opens_it() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
    let reply = pds.xrpc_get(NSID).send().await;
    assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (401, Some("AuthMissing")));
    assert_eq!(reply.headers["www-authenticate"], "Bearer");
    assert_eq!(reply.json()["message"], "Authentication Required");

    let other_kind = refusal(400, "InvalidToken", "Unexpected authorization type");
    assert_eq!(pds.xrpc_get(NSID).admin().error().await, other_kind);
    assert_eq!(pds.xrpc_get(NSID).header("authorization", "Basic !!!").error().await, other_kind);
    let not_ours = refusal(400, "InvalidToken", "Token could not be verified");
    for wrong in wrong_tokens(&alice.access).iter().chain([&alice.refresh]) {
        assert_eq!(pds.xrpc_get(NSID).bearer(wrong).error().await, not_ours, "{wrong}");
    }
}

#[tokio::test]
async fn a_token_of_another_server_is_none_of_ours() {
    let pds = TestPds::start().await;
    let secret = TestPds::options().config(|config| {
        config.secrets.jwt_secret = allod_base::secret::Secret::new("f".repeat(32));
    });
    let did = TestPds::options()
        .config(|config| config.service.did = allod_atproto::Did::parse("did:web:other.test").unwrap());
    let not_ours = refusal(400, "InvalidToken", "Token could not be verified");
    pds.account("alice").await;
    for options in [secret, did] {
        let alice = options.start().await.account("alice").await;
        assert_eq!(pds.xrpc_get(NSID).bearer(&alice.access).error().await, not_ours);
    }
}

#[tokio::test]
async fn a_deactivated_account_is_told_and_a_taken_down_one_is_refused() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    seen::deactivate(&pds, &alice.did).await;
    let answer = pds.xrpc_get(NSID).bearer(&alice.access).ok().await;
    assert_eq!((&answer["active"], &answer["status"]), (&json!(false), &json!("deactivated")));
    seen::take_down(&pds, &bob.did).await;
    let taken_down = refusal(401, "AccountTakedown", "Account has been taken down");
    assert_eq!(pds.xrpc_get(NSID).bearer(&bob.access).error().await, taken_down);
}
