//! `com.atproto.server.getServiceAuth`.

use allod_atproto::{
    Nsid,
    service_auth::{Audience, ServiceToken},
};
use allod_base::clock::Clock;
use allod_testkit::{Actor, Call, TestPds};
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.getServiceAuth";
const SERVICE: &str = "did:web:api.example.com";

fn ask(pds: &TestPds, actor: &Actor) -> Call {
    pds.xrpc_get(NSID).bearer(&actor.access)
}

async fn key(pds: &TestPds, actor: &Actor) -> allod_atproto::crypto::DidKey {
    let key = allod_store::tables::signing_keys::by_did(&*pds.app().db, &actor.did).await.unwrap();
    key.unwrap().did_key
}

#[tokio::test]
async fn the_token_is_signed_with_the_accounts_key() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let now = pds.clock().now_micros() / 1_000_000;
    let method = Nsid::parse("app.bsky.feed.getTimeline").unwrap();
    for audience in [SERVICE, "did:web:api.example.com#bsky_appview"] {
        let answer = ask(&pds, &alice).param("aud", audience).param("lxm", &method).ok().await;
        let token = ServiceToken::decode(answer["token"].as_str().unwrap()).unwrap();
        let token = token.verify(&key(&pds, &alice).await).unwrap();
        token.check(now, &[Audience::parse(audience).unwrap()], Some(&method)).unwrap();
        assert_eq!((token.iss.as_str(), token.exp, token.lxm.as_ref()), (alice.did.as_str(), now + 60, Some(&method)));
        assert_eq!(token.jti.unwrap().len(), 32);
    }
    let until = now + 3_600;
    let long = ask(&pds, &alice).param("aud", SERVICE).param("lxm", &method).param("exp", until).ok().await;
    let token = ServiceToken::decode(long["token"].as_str().unwrap()).unwrap();
    assert_eq!(token.unverified_claims().exp, until);
}

#[tokio::test]
async fn an_end_out_of_bounds_is_refused() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let now = pds.clock().now_micros() / 1_000_000;
    let far = "cannot request a token with an expiration more than an hour in the future";
    let any = "cannot request a method-less token with an expiration more than a minute in the future";
    for (exp, method, message) in [
        (now - 1, true, "expiration is in past"),
        (now + 3_601, true, far),
        (now + 3_601, false, far),
        (now + 61, false, any),
    ] {
        let mut call = ask(&pds, &alice).param("aud", SERVICE).param("exp", exp);
        if method {
            call = call.param("lxm", "app.bsky.feed.getTimeline");
        }
        assert_eq!(call.error().await, refusal(400, "BadExpiration", message));
    }
}

#[tokio::test]
async fn an_audience_is_a_did_or_one_of_its_services() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let message = "aud must be a valid atproto DID or did#serviceId reference";
    for aud in [
        "",
        "api.example.com",
        "did:web:api.example.com#",
        "did:web:a.example.com#a#b",
        "did:foo:bar",
        "did:foo:bar#service",
        "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
        "did:plc:short",
        "did:plc:aaaaaaaaaaaaaaaaaaaaaaa1",
        "did:plc:AAAAAAAAAAAAAAAAAAAAAAAA",
        "did:web:example.com:path",
        "did:web:example.com%3A8080",
        "did:web:exa_mple.com",
    ] {
        assert_eq!(ask(&pds, &alice).param("aud", aud).error().await, refusal(400, "InvalidRequest", message), "{aud}");
    }
    for aud in ["did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa#chat", "did:web:localhost%3A1234"]
    {
        ask(&pds, &alice).param("aud", aud).ok().await;
    }
    let missing = ask(&pds, &alice).error().await;
    assert_eq!((missing.0, missing.1.as_str()), (400, "InvalidRequest"));
}

#[tokio::test]
async fn what_manages_the_account_is_for_nobody_else() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for method in ["com.atproto.server.updateEmail", "com.atproto.identity.signPlcOperation"] {
        let message = format!("cannot request a service auth token for the following protected method: {method}");
        let refused = ask(&pds, &alice).param("aud", SERVICE).param("lxm", method).error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", &message));
    }
}

#[tokio::test]
async fn a_plain_app_password_neither_reads_conversations_nor_moves_out() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for privileged in [false, true] {
        let password = pds.app_password(&alice, &privileged.to_string(), privileged).await;
        let app = pds.sign_in_with("alice", &password).await;
        for method in ["chat.bsky.convo.sendMessage", "com.atproto.server.createAccount"] {
            let call = ask(&pds, &app).param("aud", SERVICE).param("lxm", method);
            if privileged {
                call.ok().await;
                continue;
            }
            let message =
                format!("insufficient access to request a service auth token for the following method: {method}");
            assert_eq!(call.error().await, refusal(400, "InvalidRequest", &message));
        }
    }
}

#[tokio::test]
async fn a_taken_down_account_may_move_out_and_nothing_else() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::take_down(&pds, &alice.did).await;
    let body = json!({ "identifier": "alice.test", "password": alice.password, "allowTakendown": true });
    let session = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
    assert_eq!((&session["active"], &session["status"]), (&json!(false), &json!("takendown")));
    let access = session["accessJwt"].as_str().unwrap();
    let call = |method: &str| pds.xrpc_get(NSID).bearer(access).param("aud", SERVICE).param("lxm", method);
    call("com.atproto.server.createAccount").ok().await;
    let scope = refusal(400, "InvalidToken", "Bad token scope");
    assert_eq!(call("app.bsky.feed.getTimeline").error().await, scope);
    assert_eq!(pds.xrpc_get(NSID).bearer(access).param("aud", SERVICE).error().await, scope);
    assert_eq!(pds.xrpc_get("com.atproto.server.getSession").bearer(access).error().await, scope);
    let refresh = pds.xrpc_post("com.atproto.server.refreshSession").bearer(session["refreshJwt"].as_str().unwrap());
    assert_eq!(refresh.error().await, refusal(401, "AccountTakedown", "Account has been taken down"));
}

#[tokio::test]
async fn nobody_else_gets_one() {
    let pds = TestPds::start().await;
    let call = pds.xrpc_get(NSID).param("aud", SERVICE);
    assert_eq!(call.error().await, refusal(401, "AuthMissing", "Authentication Required"));
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
}
