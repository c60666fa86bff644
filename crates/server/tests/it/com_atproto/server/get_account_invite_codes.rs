//! `com.atproto.server.getAccountInviteCodes`.

use std::time::Duration;

use allod_testkit::{Actor, Call, TestPds};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::seen::{self, refusal};

const NSID: &str = "com.atproto.server.getAccountInviteCodes";
const HOUR: Duration = Duration::from_hours(1);

async fn started() -> TestPds {
    let options = TestPds::options().config(|config| {
        config.sign_up.invite_required = true;
        config.sign_up.invite_interval_millis = Some(3_600_000);
    });
    options.start().await
}

fn ask(pds: &TestPds, actor: &Actor) -> Call {
    pds.xrpc_get(NSID).bearer(&actor.access)
}

fn count(answer: &Value) -> usize {
    answer["codes"].as_array().unwrap().len()
}

#[tokio::test]
async fn an_account_gets_a_code_an_hour_up_to_five_that_let_others_in() {
    let pds = started().await;
    let mut alice = pds.account("alice").await;
    assert_eq!(count(&ask(&pds, &alice).ok().await), 0);
    pds.advance(HOUR);
    assert_eq!(count(&ask(&pds, &alice).param("createAvailable", false).ok().await), 0);
    let first = ask(&pds, &alice).ok().await;
    assert_eq!(count(&first), 1);
    assert_eq!(count(&ask(&pds, &alice).ok().await), 1);
    let code = &first["codes"][0];
    assert_eq!((&code["available"], &code["createdBy"]), (&json!(1), &json!(alice.did)));
    let body = json!({ "handle": "bob.test", "email": "bob@example.com", "password": "password-of-bob", "inviteCode": code["code"] });
    pds.xrpc_post("com.atproto.server.createAccount").json(&body).ok().await;
    assert_eq!(count(&ask(&pds, &alice).param("includeUsed", false).ok().await), 0);
    let used = ask(&pds, &alice).ok().await;
    assert_eq!(used["codes"][0]["uses"].as_array().unwrap().len(), 1);
    pds.advance(100 * HOUR);
    alice = pds.sign_in("alice").await;
    assert_eq!(count(&ask(&pds, &alice).param("includeUsed", false).ok().await), 5);
    assert_eq!(count(&ask(&pds, &alice).ok().await), 6);
}

#[tokio::test]
async fn of_many_at_once_the_codes_are_made_once() {
    let pds = started().await;
    pds.account("alice").await;
    pds.advance(3 * HOUR);
    let alice = pds.sign_in("alice").await;
    for reply in join_all((0..50).map(|_| ask(&pds, &alice).send())).await {
        if reply.status != 200 {
            assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (400, &json!("DuplicateCreate")));
        }
    }
    assert_eq!(count(&ask(&pds, &alice).ok().await), 3);
}

#[tokio::test]
async fn an_account_that_may_not_invite_gets_none_that_open() {
    let pds = started().await;
    pds.account("alice").await;
    pds.advance(2 * HOUR);
    let alice = pds.sign_in("alice").await;
    let close = json!({ "account": alice.did });
    pds.xrpc_post("com.atproto.admin.disableAccountInvites").admin().json(&close).send().await;
    assert_eq!(count(&ask(&pds, &alice).ok().await), 0);
    pds.xrpc_post("com.atproto.admin.enableAccountInvites").admin().json(&close).send().await;
    assert_eq!(count(&ask(&pds, &alice).ok().await), 0, "those were made, and are closed");
    pds.advance(HOUR);
    assert_eq!(count(&ask(&pds, &pds.sign_in("alice").await).ok().await), 1);
}

#[tokio::test]
async fn refuses_others_apps_and_deactivated_accounts() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(count(&ask(&pds, &alice).ok().await), 0, "none is made without an interval");
    let app_password = pds.app_password(&alice, "phone", true).await;
    let phone = pds.sign_in_with("alice", &app_password).await;
    assert_eq!(ask(&pds, &phone).error().await, refusal(400, "InvalidToken", "Bad token scope"));
    let missing = refusal(401, "AuthMissing", "Authentication Required");
    assert_eq!(pds.xrpc_get(NSID).error().await, missing);
    let kind = refusal(400, "InvalidToken", "Unexpected authorization type");
    assert_eq!(pds.xrpc_get(NSID).admin().error().await, kind);
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
    seen::deactivate(&pds, &alice.did).await;
    assert_eq!(ask(&pds, &alice).error().await, refusal(404, "NotFound", "Account not found"));
}
