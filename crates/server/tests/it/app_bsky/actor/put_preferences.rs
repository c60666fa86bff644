//! `app.bsky.actor.putPreferences`.

use allod_testkit::{Actor, Call, TestPds};
use serde_json::{Value, json};

use crate::seen::{self, refusal};

const NSID: &str = "app.bsky.actor.putPreferences";

fn put(pds: &TestPds, actor: &Actor, preferences: &Value) -> Call {
    pds.xrpc_post(NSID).bearer(&actor.access).json(&json!({ "preferences": preferences }))
}

async fn kept(pds: &TestPds, actor: &Actor) -> Value {
    pds.xrpc_get("app.bsky.actor.getPreferences").bearer(&actor.access).ok().await["preferences"].clone()
}

fn tags(tag: &str) -> Value {
    json!({ "$type": "app.bsky.actor.defs#interestsPref", "tags": [tag] })
}

fn born() -> Value {
    json!({ "$type": "app.bsky.actor.defs#personalDetailsPref", "birthDate": "1990-01-01T00:00:00.000Z" })
}

#[tokio::test]
async fn replaces_what_the_caller_sees_and_nothing_else() {
    let mut pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let password = pds.app_password(&alice, "app", false).await;
    let app = pds.sign_in_with("alice", &password).await;
    let labels =
        |label: &str| json!({ "$type": "app.bsky.actor.defs#contentLabelPref", "label": label, "visibility": "hide" });
    assert_eq!(put(&pds, &alice, &json!([labels("b"), born(), labels("a")])).send().await.status, 200);
    assert_eq!(put(&pds, &bob, &json!([tags("his")])).send().await.status, 200);
    assert_eq!(
        put(&pds, &app, &json!([tags("x"), { "$type": "app.bsky.actor.defs#declaredAgePref" }])).send().await.status,
        200
    );
    pds.restart().await;
    let list = kept(&pds, &alice).await;
    let kinds: Vec<&str> = list.as_array().unwrap().iter().map(|p| p["$type"].as_str().unwrap()).collect();
    assert_eq!(kinds.len(), 3, "{kinds:?}");
    assert!(list.as_array().unwrap().contains(&born()) && list.as_array().unwrap().contains(&tags("x")));
    assert_eq!(list[2]["isOverAge18"], true, "what follows from the birthday was not set by the app");
    assert_eq!(put(&pds, &alice, &json!([])).send().await.status, 200);
    assert_eq!(kept(&pds, &alice).await, json!([]));
    assert_eq!(kept(&pds, &bob).await, json!([tags("his")]));
}

#[tokio::test]
async fn what_is_none_of_ours_changes_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    put(&pds, &alice, &json!([tags("a")])).send().await;
    let password = pds.app_password(&alice, "app", true).await;
    let app = pds.sign_in_with("alice", &password).await;
    let not_allowed = "Do not have authorization to set preferences: app.bsky.actor.defs#personalDetailsPref";
    for (actor, wanted, message) in [
        (
            &alice,
            json!([tags("b"), { "$type": "com.example.pref" }]),
            "Some preferences are not in the app.bsky namespace",
        ),
        (&app, json!([born()]), not_allowed),
        (&alice, Value::from(vec![tags("x"); 1_001]), "at most 1000 preferences can be kept"),
    ] {
        assert_eq!(put(&pds, actor, &wanted).error().await, refusal(400, "InvalidRequest", message));
    }
    for wanted in
        [json!([{ "tags": [] }]), json!([5]), json!({}), json!([{ "$type": "app.bsky.actor.defs#interestsPref" }])]
    {
        let (status, name, _) = put(&pds, &alice, &wanted).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{wanted}");
    }
    assert_eq!(kept(&pds, &alice).await, json!([tags("a")]));
}

#[tokio::test]
async fn nobody_else_sets_them() {
    let pds = TestPds::start().await;
    let body = json!({ "preferences": [] });
    assert_eq!(pds.xrpc_post(NSID).json(&body).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
