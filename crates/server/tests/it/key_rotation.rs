//! Another signing key for an account: kept first, published, then used; whatever fails in between.

use std::time::Duration;

use allod_atproto::{car, crypto::DidKey, frame::Message, repo::SignedCommit};
use allod_server::domain::identity::{recheck, signing_key};
use allod_store::{
    fault::Fault,
    tables::{identity_changes, signing_keys},
};
use allod_testkit::{Actor, Behaviour, TestPds};
use serde_json::json;

/// Checks that document, store and newest commit agree on the key, and that the account can write; gives the key.
async fn agreed(pds: &TestPds, actor: &Actor) -> DidKey {
    let stored = signing_keys::by_did(&*pds.app().db, &actor.did).await.unwrap().unwrap().did_key;
    let document = pds.plc().document(actor.did.as_str()).await.unwrap();
    let published = document["verificationMethod"][0]["publicKeyMultibase"].as_str().unwrap();
    assert_eq!(stored.as_str(), format!("did:key:{published}"));
    let body = json!({ "repo": actor.did, "collection": "com.example.note", "record": { "n": 1 } });
    pds.xrpc_post("com.atproto.repo.createRecord").bearer(&actor.access).json(&body).ok().await;
    let file = pds.xrpc_get("com.atproto.sync.getRepo").param("did", &actor.did).send().await.body;
    let file = car::read(&file, &car::Limits::REPOSITORY).unwrap();
    let commit = SignedCommit::parse(file.get(&file.root().unwrap()).unwrap()).unwrap();
    commit.verify(&stored).unwrap();
    stored
}

#[tokio::test]
async fn a_new_key_signs_from_a_fresh_commit_on() {
    let pds = TestPds::start().await;
    // The check at the end knows one key of each account; `agreed` looks at the signatures itself.
    pds.arranges_the_impossible();
    let alice = pds.account("alice").await;
    let first = agreed(&pds, &alice).await;
    let before = pds.events().await.len();
    pds.advance(Duration::from_secs(1));
    let second = signing_key::rotate(pds.app(), &alice.did).await.unwrap();
    let told: Vec<_> = pds.events().await.into_iter().skip(before).map(|(_, frame)| frame.message).collect();
    assert!(matches!(told.as_slice(), [Message::Identity(_), Message::Sync(_)]), "{told:?}");
    assert_eq!(agreed(&pds, &alice).await, second);
    assert_ne!(first, second);
    assert_eq!(recheck::pass(pds.app()).await.unwrap(), 0);
}

#[tokio::test]
async fn whatever_fails_one_key_is_agreed_on() {
    for (commit, fault) in [
        (1, Fault::Fail),
        (1, Fault::UnknownApplied),
        (2, Fault::Fail),
        (2, Fault::UnknownLost),
        (2, Fault::UnknownApplied),
    ] {
        for behaviour in [Behaviour::Work, Behaviour::Answer(400, "no".to_owned())] {
            let mut pds = TestPds::start().await;
            // The check at the end knows one key of each account; `agreed` looks at the signatures itself.
            pds.arranges_the_impossible();
            let alice = pds.account("alice").await;
            pds.advance(Duration::from_secs(1));
            pds.plc().behave_on_submissions(behaviour.clone());
            pds.store().at_commit(commit, fault);
            assert!(signing_key::rotate(pds.app(), &alice.did).await.is_err(), "{commit} {fault:?} {behaviour:?}");
            pds.store().clear();
            pds.crash().await;
            pds.plc().behave(Behaviour::Work).await;
            for _ in 0..200 {
                pds.advance(Duration::from_mins(1));
                pds.do_jobs().await;
                if identity_changes::due(&*pds.app().db, i64::MAX, 1).await.unwrap().is_empty() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            let alice = pds.sign_in("alice").await;
            agreed(&pds, &alice).await;
            let _ = pds.logged_errors();
        }
    }
}

#[tokio::test]
async fn a_document_that_no_longer_fits_is_noticed() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let last = crate::elsewhere::directory(&pds).last_operation(&alice.did).await.unwrap().unwrap();
    let mut data = last.data().unwrap();
    data.also_known_as = vec!["at://somebody.else.test".to_owned()];
    let changed =
        allod_atproto::plc::UnsignedPlcOperation::from_data(data, Some(last.cid())).sign(&pds.app().rotation_key);
    pds.advance(Duration::from_secs(1));
    crate::elsewhere::directory(&pds).submit(&alice.did, &changed).await.unwrap();
    assert_eq!(recheck::pass(pds.app()).await.unwrap(), 1);
    assert_eq!(recheck::pass(pds.app()).await.unwrap(), 0, "the round is over");
    assert_eq!(recheck::pass(pds.app()).await.unwrap(), 1, "and begins anew");
}

#[tokio::test]
async fn what_the_directory_has_of_one_did_keeps_no_other_from_being_checked() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for name in ["bob", "carol"] {
        pds.advance(Duration::from_secs(1));
        pds.account(name).await;
    }
    for (status, body) in [(200, "{}"), (403, "no")] {
        pds.plc().behave_on_reads_of(alice.did.as_str(), Behaviour::Answer(status, body.to_owned()));
        let before = pds.plc().reads();
        recheck::pass(pds.app()).await.unwrap();
        assert_eq!(pds.plc().reads() - before, 3, "{status}: everybody");
        recheck::pass(pds.app()).await.unwrap();
    }
    pds.plc().behave_on_reads(Behaviour::Answer(500, "no".to_owned()));
    let before = pds.plc().reads();
    recheck::pass(pds.app()).await.unwrap();
    assert_eq!(pds.plc().reads() - before, 2, "the directory does not answer for bob: carol waits");
}
