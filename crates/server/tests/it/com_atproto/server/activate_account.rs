//! `com.atproto.server.activateAccount`.

use allod_atproto::frame::Message;
use allod_testkit::{Behaviour, Call, TestPds};
use serde_json::json;

use crate::{
    elsewhere::{moved_here, mover},
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.server.activateAccount";

fn activate(pds: &TestPds, token: &str) -> Call {
    pds.xrpc_post(NSID).bearer(token)
}

#[tokio::test]
async fn an_account_that_moves_in_is_activated_when_its_did_says_so() {
    let pds = TestPds::start().await;
    let (resident, access) = mover(&pds).await;
    let advised = pds.xrpc_get("com.atproto.identity.getRecommendedDidCredentials").bearer(&access).ok().await;
    let ours = advised["verificationMethods"]["atproto"].as_str().unwrap();
    let ours = allod_atproto::crypto::DidKey::parse(ours).unwrap();
    let not_ours = resident.signing.did_key();

    let refused = async |message: &str| {
        assert_eq!(activate(&pds, &access).error().await, refusal(400, "InvalidRequest", message));
        let status = pds.xrpc_get("com.atproto.server.checkAccountStatus").bearer(&access).ok().await;
        assert_eq!((&status["activated"], &status["validDid"]), (&json!(false), &json!(false)));
    };
    refused("Server rotation key not included in PLC DID data").await;
    let mut operation = resident.move_here(&pds, "mover.test", &ours);
    operation.services.get_mut("atproto_pds").unwrap().endpoint = "https://third.test".to_owned();
    let third = operation.sign(&resident.rotation);
    resident.publish(&pds, &third).await;
    refused("DID document atproto_pds service endpoint does not match PDS public url").await;
    let mut operation = moved_here(&pds, &resident.rotation, "mover.test", &not_ours);
    operation.prev = Some(third.cid());
    let wrong_key = operation.sign(&resident.rotation);
    pds.advance(std::time::Duration::from_secs(1));
    resident.publish(&pds, &wrong_key).await;
    refused("DID document verification method does not match expected signing key").await;
    assert!(pds.events().await.is_empty(), "nobody is told of an account that is not active");

    let mut operation = moved_here(&pds, &resident.rotation, "mover.test", &ours);
    operation.prev = Some(wrong_key.cid());
    pds.advance(std::time::Duration::from_secs(1));
    resident.publish(&pds, &operation.sign(&resident.rotation)).await;
    assert_eq!(activate(&pds, &access).send().await.status.as_u16(), 200);
    let told: Vec<_> = pds.events().await.into_iter().map(|(_, frame)| frame.message).collect();
    let [Message::Account(active), Message::Identity(identity), Message::Sync(sync)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((&active.did, active.active), (&resident.did, true));
    assert_eq!(identity.handle.as_ref().unwrap().as_str(), "mover.test");
    assert_eq!(sync.did, resident.did);
    let status = pds.xrpc_get("com.atproto.server.checkAccountStatus").bearer(&access).ok().await;
    assert_eq!((&status["activated"], &status["validDid"]), (&json!(true), &json!(true)));

    // The deadline by which it had to move in is over without harm.
    pds.advance(std::time::Duration::from_hours(24 * 10));
    pds.do_jobs().await;
    assert_eq!(pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", &resident.did).send().await.status, 200);
}

#[tokio::test]
async fn activating_again_tells_the_network_again() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let before = pds.events().await.len();
    for round in 1..=2 {
        assert_eq!(activate(&pds, &alice.access).send().await.status.as_u16(), 200);
        assert_eq!(pds.events().await.len(), before + 3 * round);
    }
}

#[tokio::test]
async fn a_directory_that_does_not_answer_changes_nothing() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    pds.xrpc_post("com.atproto.server.deactivateAccount").bearer(&alice.access).json(&json!({})).send().await;
    pds.plc().behave(Behaviour::Down).await;
    let (status, name, _) = activate(&pds, &alice.access).error().await;
    assert_eq!((status, name.as_str()), (502, "UpstreamFailure"));
    pds.plc().behave(Behaviour::Work).await;
    assert_eq!(activate(&pds, &alice.access).send().await.status.as_u16(), 200);
}

#[tokio::test]
async fn only_the_owner_activates() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let token = pds.app_password(&alice, "app", true).await;
    let app = pds.sign_in_with("alice", &token).await;
    assert_eq!(activate(&pds, &app.access).error().await, refusal(400, "InvalidToken", "Bad token scope"));
    assert_eq!(pds.xrpc_post(NSID).error().await, refusal(401, "AuthMissing", "Authentication Required"));
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
    seen::take_down(&pds, &alice.did).await;
    assert_eq!(activate(&pds, &alice.access).error().await.1, "AccountTakedown");
}
