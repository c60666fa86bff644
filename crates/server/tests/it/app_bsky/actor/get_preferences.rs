//! `app.bsky.actor.getPreferences`.

use allod_testkit::{Actor, TestPds};
use serde_json::{Value, json};

use crate::seen::{self, refusal};

const NSID: &str = "app.bsky.actor.getPreferences";
const PUT: &str = "app.bsky.actor.putPreferences";

async fn get(pds: &TestPds, actor: &Actor) -> Value {
    pds.xrpc_get(NSID).bearer(&actor.access).ok().await["preferences"].clone()
}

#[tokio::test]
async fn personal_details_are_for_the_accounts_own_password_and_the_ages_for_all() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(get(&pds, &alice).await, json!([]));
    let tags = json!({ "$type": "app.bsky.actor.defs#interestsPref", "tags": ["a"] });
    let born = json!({ "$type": "app.bsky.actor.defs#personalDetailsPref", "birthDate": "2010-01-01T00:00:00.000Z" });
    let body = json!({ "preferences": [born, tags] });
    assert_eq!(pds.xrpc_post(PUT).bearer(&alice.access).json(&body).send().await.status, 200);
    let age = get(&pds, &alice).await[2].clone();
    assert_eq!(get(&pds, &alice).await, json!([born, tags, age]));
    assert_eq!((&age["isOverAge13"], &age["isOverAge18"]), (&json!(true), &json!(false)));
    let password = pds.app_password(&alice, "app", true).await;
    let app = pds.sign_in_with("alice", &password).await;
    assert_eq!(get(&pds, &app).await, json!([tags, age]));
}

#[tokio::test]
async fn a_taken_down_account_takes_its_preferences_with_it() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let tags = json!({ "$type": "app.bsky.actor.defs#interestsPref", "tags": ["a"] });
    pds.xrpc_post(PUT).bearer(&alice.access).json(&json!({ "preferences": [tags] })).send().await;
    seen::take_down(&pds, &alice.did).await;
    let alice = seen::signed_in_after_takedown(&pds, alice).await;
    assert_eq!(get(&pds, &alice).await, json!([tags]));
}

#[tokio::test]
async fn nobody_else_reads_them() {
    let pds = TestPds::start().await;
    assert_eq!(pds.xrpc_get(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    assert_eq!(pds.xrpc_get(NSID).admin().error().await.1, "InvalidToken");
    seen::wrong_verb(pds.xrpc_post(NSID), "POST", "GET").await;
}
