//! `com.atproto.admin.updateSubjectStatus`.

mod by_service;

use allod_testkit::{Actor, TestPds};
use serde_json::{Value, json};

use super::{UPDATE, nobody_else, note, repo_ref, told, update, wrong_post};
use crate::seen::{self, refusal};

async fn refused(pds: &TestPds, body: &Value) -> seen::Refusal {
    update(pds, body).error().await
}

#[tokio::test]
async fn a_takedown_ends_every_sign_in_and_is_told_and_undone() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let app_password = pds.app_password(&alice, "phone", true).await;
    let phone = pds.sign_in_with("alice", &app_password).await;
    update(&pds, &json!({ "subject": repo_ref(&alice), "takedown": { "applied": true, "ref": "r1" } })).ok().await;
    assert_eq!(told(&pds).await, (false, Some("takendown".to_owned())));
    let taken_down = refusal(401, "AccountTakedown", "Account has been taken down");
    let ended = async |pds: &TestPds, actor: &Actor, how: &seen::Refusal| {
        let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&actor.access);
        assert_eq!(session.error().await, *how);
        let refresh = pds.xrpc_post("com.atproto.server.refreshSession").bearer(&actor.refresh);
        assert_eq!(refresh.error().await, *how);
    };
    ended(&pds, &alice, &taken_down).await;
    pds.restart().await;
    ended(&pds, &phone, &taken_down).await;
    let owner = seen::signed_in_after_takedown(&pds, alice.clone()).await;
    update(&pds, &json!({ "subject": repo_ref(&alice), "takedown": { "applied": false } })).ok().await;
    assert_eq!(told(&pds).await, (true, None));
    let revoked = refusal(400, "ExpiredToken", "Token has been revoked");
    ended(&pds, &alice, &revoked).await;
    ended(&pds, &phone, &revoked).await;
    let out = pds.xrpc_get("com.atproto.server.getServiceAuth").bearer(&owner.access).param("aud", "did:web:x.test");
    let out = out.param("lxm", "com.atproto.server.createAccount");
    assert_eq!(out.error().await, revoked, "what the owner of a taken-down account had ends too");
    let again = pds.sign_in("alice").await;
    note(&pds, &again, "after").await;
}

#[tokio::test]
async fn undoing_it_leaves_a_deactivated_account_deactivated() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    pds.advance(std::time::Duration::from_secs(1));
    update(&pds, &json!({ "subject": repo_ref(&alice), "deactivated": { "applied": true } })).ok().await;
    assert_eq!(told(&pds).await, (false, Some("deactivated".to_owned())));
    for (applied, status) in [(true, "takendown"), (false, "deactivated")] {
        update(&pds, &json!({ "subject": repo_ref(&alice), "takedown": { "applied": applied } })).ok().await;
        assert_eq!(told(&pds).await, (false, Some(status.to_owned())));
    }
    update(&pds, &json!({ "subject": repo_ref(&alice), "deactivated": { "applied": false } })).ok().await;
    let session = pds.sign_in("alice").await;
    note(&pds, &session, "again").await;
}

#[tokio::test]
async fn what_excludes_itself_or_is_not_there_is_refused_and_changes_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let record = note(&pds, &alice, "one").await;
    let events = pds.events().await.len();
    nobody_else(&pds, || pds.xrpc_post(UPDATE).json(&json!({ "subject": repo_ref(&alice) }))).await;
    wrong_post(&pds, UPDATE).await;
    let (on, off) = (json!({ "applied": true }), json!({ "applied": false }));
    let both = json!({ "subject": repo_ref(&alice), "takedown": on, "deactivated": off });
    let message = "Cannot activate and takedown an account at the same time";
    assert_eq!(refused(&pds, &both).await, refusal(400, "InvalidRequest", message));
    let of_record = json!({ "subject": record, "deactivated": on });
    let message = "Only an account can be deactivated";
    assert_eq!(refused(&pds, &of_record).await, refusal(400, "InvalidRequest", message));
    let long = json!({ "subject": repo_ref(&alice), "takedown": { "applied": true, "ref": "x".repeat(1_025) } });
    assert_eq!(refused(&pds, &long).await.0, 400);
    let odd = json!({ "subject": { "$type": "com.example.thing" }, "takedown": on });
    assert_eq!(refused(&pds, &odd).await, refusal(400, "InvalidRequest", "Invalid subject"));
    let nobody = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    let missing = refusal(404, "NotFound", "Subject not found");
    for subject in [
        json!({ "$type": "com.atproto.admin.defs#repoRef", "did": nobody }),
        json!({ "$type": "com.atproto.repo.strongRef", "uri": format!("at://{}/a.b.c/d", alice.did), "cid": record["cid"] }),
        json!({ "$type": "com.atproto.admin.defs#repoBlobRef", "did": alice.did, "cid": record["cid"] }),
    ] {
        assert_eq!(refused(&pds, &json!({ "subject": subject, "takedown": on })).await, missing);
    }
    assert_eq!(pds.events().await.len(), events);
}

#[tokio::test]
async fn a_taken_down_account_is_not_activated_and_nobody_is_told() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::take_down(&pds, &alice.did).await;
    let activate = json!({ "subject": repo_ref(&alice), "deactivated": { "applied": false } });
    let not_found = refusal(400, "AccountNotFound", "user not found");
    let events = pds.events().await.len();
    assert_eq!(refused(&pds, &activate).await, not_found);
    seen::deactivate(&pds, &alice.did).await;
    assert_eq!(refused(&pds, &activate).await, not_found);
    assert_eq!(pds.events().await.len(), events);
    let both = json!({
        "subject": repo_ref(&alice),
        "takedown": { "applied": false },
        "deactivated": { "applied": false },
    });
    update(&pds, &both).ok().await;
    assert_eq!(told(&pds).await, (true, None));
}

#[tokio::test]
async fn of_a_hundred_at_once_each_is_the_last_word_of_its_own() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let change = |applied: bool| {
        update(&pds, &json!({ "subject": repo_ref(&alice), "takedown": { "applied": applied } })).send()
    };
    let replies = futures_util::future::join_all((0..100).map(|n| change(n % 2 == 0))).await;
    for reply in replies {
        assert!([200, 503].contains(&reply.status.as_u16()), "{}", reply.text());
    }
    change(true).await;
    assert_eq!(told(&pds).await, (false, Some("takendown".to_owned())));
    change(false).await;
    assert_eq!(told(&pds).await, (true, None));
}
