//! `com.atproto.repo.createRecord`.

use allod_atproto::{Cid, Tid, json};
use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::{CREATE, GET, POSTS, create_post, key_of, latest, only_the_owner_writes, post, text, write};
use crate::seen::refusal;

#[tokio::test]
async fn writes_a_record_that_everybody_can_read() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let before = latest(&pds, &alice).await;
    let created = create_post(&pds, &alice, "hello").await;

    let key = key_of(&created);
    assert!(Tid::parse(&key).is_ok(), "{key}");
    assert_eq!(created["uri"], format!("at://{}/{POSTS}/{key}", alice.did));
    assert_eq!(created["cid"], Cid::for_cbor(&json::to_cbor(&post("hello")).unwrap()).to_string());
    assert_eq!(created["validationStatus"], "valid");
    let after = latest(&pds, &alice).await;
    assert_eq!((text(&created["commit"]["cid"]), text(&created["commit"]["rev"])), after);
    assert!(after.1 > before.1);

    for repo in [alice.did.as_str(), alice.handle.as_str()] {
        let read = pds.xrpc_get(GET).param("repo", repo).param("collection", POSTS).param("rkey", &key).ok().await;
        assert_eq!(read, json!({ "uri": created["uri"], "cid": created["cid"], "value": post("hello") }));
    }
}

#[tokio::test]
async fn takes_a_key_once() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = json!({ "collection": "com.example.note", "rkey": "a:b~c.d_e-F", "record": {"n": 1.0} });
    let created = write(&pds, &alice, CREATE, body.clone()).ok().await;
    assert_eq!((key_of(&created).as_str(), created["validationStatus"].as_str()), ("a:b~c.d_e-F", Some("unknown")));
    let before = latest(&pds, &alice).await;
    let refused = write(&pds, &alice, CREATE, body).error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "There is a record at com.example.note/a:b~c.d_e-F already"));
    assert_eq!(latest(&pds, &alice).await, before);
}

#[tokio::test]
async fn validates_as_asked() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let call = |collection: &str, validate: Value, record: Value| {
        let mut body = json!({ "collection": collection, "record": record });
        if !validate.is_null() {
            body["validate"] = validate;
        }
        write(&pds, &alice, CREATE, body)
    };
    let bad = json!({ "text": 7, "createdAt": "2026-11-25T12:00:00.000Z" });
    for validate in [json!(true), json!(null)] {
        let (status, name, message) = call(POSTS, validate, bad.clone()).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
        assert!(message.starts_with("Invalid app.bsky.feed.post record: "), "{message}");
    }
    let unchecked = call(POSTS, json!(false), bad.clone()).ok().await;
    assert_eq!(unchecked.get("validationStatus"), None);
    let required = call("com.example.note", json!(true), json!({})).error().await;
    assert_eq!(required, refusal(400, "InvalidRequest", "Unknown lexicon type: com.example.note"));
    let wrong_type = call(POSTS, json!(false), json!({ "$type": "com.example.note" })).error().await;
    let message = "Invalid $type: expected app.bsky.feed.post, got com.example.note";
    assert_eq!(wrong_type, refusal(400, "InvalidRequest", message));
    let profile = call("app.bsky.actor.profile", json!(null), json!({})).error().await;
    assert!(profile.2.starts_with("Invalid record key for app.bsky.actor.profile: "), "{profile:?}");
}

#[tokio::test]
async fn refuses_what_is_no_data_of_the_protocol() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let before = latest(&pds, &alice).await;
    let deep = (0..40).fold(json!(1), |inner, _| json!([inner]));
    for value in [
        json!(1.5),
        json!(9_007_199_254_740_992_i64),
        json!(u64::MAX),
        json!({ "$link": "nonsense" }),
        json!({ "$bytes": "A" }),
        json!({ "$type": "" }),
        json!({ "$type": "blob", "ref": 1 }),
        deep,
    ] {
        let body = json!({ "collection": "com.example.note", "record": { "value": value } });
        let (status, name, message) = write(&pds, &alice, CREATE, body).error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{value}");
        assert!(message.starts_with("Invalid record: "), "{message}");
    }
    for (field, value) in [("collection", json!("posts")), ("rkey", json!("a/b")), ("record", json!("text"))] {
        let mut body = json!({ "collection": "com.example.note", "record": {} });
        body[field] = value;
        assert_eq!(write(&pds, &alice, CREATE, body).error().await.0, 400, "{field}");
    }
    assert_eq!(latest(&pds, &alice).await, before);
}

#[tokio::test]
async fn a_large_record_is_taken_and_a_larger_one_refused() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let body = |chars: usize| json!({ "collection": "com.example.note", "record": { "text": "x".repeat(chars) } });
    write(&pds, &alice, CREATE, body(900_000)).ok().await;
    let (status, name, _) = write(&pds, &alice, CREATE, body(1_000_000)).error().await;
    assert_eq!((status, name.as_str()), (413, "PayloadTooLarge"));
}

#[tokio::test]
async fn swaps_only_the_commit_named() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let first = latest(&pds, &alice).await;
    let body = |swap: &str| json!({ "collection": POSTS, "record": post("x"), "swapCommit": swap });
    write(&pds, &alice, CREATE, body(&first.0)).ok().await;
    let second = latest(&pds, &alice).await;
    let refused = write(&pds, &alice, CREATE, body(&first.0)).error().await;
    assert_eq!(refused, refusal(400, "InvalidSwap", &format!("Commit was at {}", second.0)));
    assert_eq!(latest(&pds, &alice).await, second);
}

#[tokio::test]
async fn a_second_like_replaces_the_first() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let liked = create_post(&pds, &alice, "like me").await;
    let like = |validate: Option<bool>| {
        let subject = json!({ "uri": liked["uri"], "cid": liked["cid"] });
        let record = json!({ "subject": subject, "createdAt": "2026-11-25T12:00:00.000Z" });
        let mut body = json!({ "collection": "app.bsky.feed.like", "record": record });
        if let Some(validate) = validate {
            body["validate"] = json!(validate);
        }
        write(&pds, &alice, CREATE, body)
    };
    let (first, second) = (like(None).ok().await, like(None).ok().await);
    let list = || pds.xrpc_get(super::LIST).param("repo", &alice.did).param("collection", "app.bsky.feed.like");
    let uris = |list: Value| list["records"].as_array().unwrap().iter().map(|r| text(&r["uri"])).collect::<Vec<_>>();
    assert_ne!(first["uri"], second["uri"]);
    assert_eq!(uris(list().ok().await), [text(&second["uri"])]);
    let third = like(Some(false)).ok().await;
    assert_eq!(uris(list().ok().await), [text(&third["uri"]), text(&second["uri"])]);
    let fourth = like(None).ok().await;
    assert_eq!(uris(list().ok().await), [text(&fourth["uri"])]);
}

#[tokio::test]
async fn only_its_owner_writes_to_a_repository() {
    only_the_owner_writes(CREATE, json!({ "collection": POSTS, "record": post("x") })).await;
}
