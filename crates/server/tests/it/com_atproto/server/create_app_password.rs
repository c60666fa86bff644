//! `com.atproto.server.createAppPassword`.

use allod_testkit::TestPds;
use futures_util::future::join_all;
use serde_json::json;

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.createAppPassword";

#[tokio::test]
async fn makes_a_password_that_signs_in() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "name": " phone ", "privileged": true });
    let made = pds.xrpc_post(NSID).bearer(&alice.access).json(&body).ok().await;
    let password = made["password"].as_str().unwrap().to_owned();
    let expected = json!({ "name": "phone", "password": password, "createdAt": made["createdAt"], "privileged": true });
    assert_eq!(made, expected);
    assert!(password.len() == 19 && password.split('-').all(|group| group.len() == 4), "{password}");
    pds.restart().await;
    let phone = pds.sign_in_with("alice", &password).await;
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&phone.access).ok().await;
    assert_eq!(session["did"], alice.did.as_str());
    let body = json!({ "identifier": "bob.test", "password": password });
    pds.account("bob").await;
    let wrong = refusal(401, "AuthenticationRequired", "Invalid identifier or password");
    let call = pds.xrpc_post("com.atproto.server.createSession").json(&body);
    assert_eq!(call.error().await, wrong, "it is one account's");
}

#[tokio::test]
async fn an_app_can_write_and_can_not_manage_the_account() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for privileged in [false, true] {
        let password = pds.app_password(&alice, &format!("app {privileged}"), privileged).await;
        let app = pds.sign_in_with("alice", &password).await;
        let record = json!({ "$type": "app.bsky.feed.post", "text": "hi", "createdAt": "2026-01-01T00:00:00Z" });
        let body = json!({ "repo": alice.did, "collection": "app.bsky.feed.post", "record": record });
        pds.xrpc_post("com.atproto.repo.createRecord").bearer(&app.access).json(&body).ok().await;
        let next = pds.xrpc_post("com.atproto.server.refreshSession").bearer(&app.refresh).ok().await;
        let scope = refusal(400, "InvalidToken", "Bad token scope");
        for token in [app.access.as_str(), next["accessJwt"].as_str().unwrap()] {
            let again = pds.xrpc_post(NSID).bearer(token).json(&json!({ "name": "x" }));
            assert_eq!(again.error().await, scope);
            let list = pds.xrpc_get("com.atproto.server.listAppPasswords").bearer(token);
            assert_eq!(list.error().await, scope);
            let revoke = pds.xrpc_post("com.atproto.server.revokeAppPassword").bearer(token);
            assert_eq!(revoke.json(&json!({ "name": "app true" })).error().await, scope);
        }
    }
}

#[tokio::test]
async fn of_many_with_one_name_one_is_made() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let made =
        join_all((0..20).map(|_| pds.xrpc_post(NSID).bearer(&alice.access).json(&json!({ "name": "x" })).send()));
    let statuses: Vec<u16> = made.await.iter().map(|reply| reply.status.as_u16()).collect();
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    let taken = refusal(400, "InvalidRequest", "there is an app password of this name already");
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).json(&json!({ "name": "x" })).error().await, taken);
}

#[tokio::test]
async fn malformed_names_and_one_too_many_are_refused() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for name in [String::new(), "  ".to_owned(), "x".repeat(129)] {
        let refused = pds.xrpc_post(NSID).bearer(&alice.access).json(&json!({ "name": name })).error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", "the name must have from 1 to 128 characters"));
    }
    let unprintable = "the name must not have control or bidirectional formatting characters";
    for name in ["a\nb", "a\u{1b}[2Jb", "a\u{7f}", "a\u{9b}b", "a\u{202e}b", "a\u{2066}b", "a\u{200f}b"] {
        let refused = pds.xrpc_post(NSID).bearer(&alice.access).json(&json!({ "name": name })).error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", unprintable), "{name:?}");
    }
    for n in 0..250 {
        pds.app_password(&alice, &n.to_string(), false).await;
    }
    let full = refusal(400, "InvalidRequest", "an account has at most 250 app passwords: revoke some");
    assert_eq!(pds.xrpc_post(NSID).bearer(&alice.access).json(&json!({ "name": "one more" })).error().await, full);
}

#[tokio::test]
async fn a_taken_down_account_makes_none() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let password = pds.app_password(&alice, "before", false).await;
    seen::take_down(&pds, &alice.did).await;
    let call = pds.xrpc_post(NSID).bearer(&alice.access).json(&json!({ "name": "x" }));
    let taken_down = refusal(401, "AccountTakedown", "Account has been taken down");
    assert_eq!(call.error().await, taken_down);
    let body = json!({ "identifier": "alice.test", "password": password, "allowTakendown": true });
    assert_eq!(pds.xrpc_post("com.atproto.server.createSession").json(&body).error().await, taken_down);
}

#[tokio::test]
async fn nobody_else_makes_one() {
    let pds = TestPds::start().await;
    let missing = refusal(401, "AuthMissing", "Authentication Required");
    assert_eq!(pds.xrpc_post(NSID).json(&json!({ "name": "x" })).error().await, missing);
    let other_kind = refusal(400, "InvalidToken", "Unexpected authorization type");
    assert_eq!(pds.xrpc_post(NSID).admin().json(&json!({ "name": "x" })).error().await, other_kind);
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
