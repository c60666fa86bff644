//! `com.atproto.identity.refreshIdentity`.

use std::time::Duration;

use allod_atproto::plc::UnsignedTombstone;
use allod_testkit::TestPds;
use serde_json::json;

use crate::{
    elsewhere::{Resident, directory},
    seen::{self, refusal},
};

const NSID: &str = "com.atproto.identity.refreshIdentity";

#[tokio::test]
async fn what_is_kept_is_looked_up_anew() {
    let pds = TestPds::start().await;
    let (alice, resident) = (pds.account("alice").await, Resident::new(&pds, 50).await);
    let refresh =
        |identifier: &str| pds.xrpc_post(NSID).bearer(&alice.access).json(&json!({ "identifier": identifier }));
    let look = async || {
        pds.xrpc_get("com.atproto.identity.resolveDid").param("did", &resident.did).ok().await["didDoc"]["alsoKnownAs"]
            [0]
        .clone()
    };
    assert_eq!(look().await, "at://someone.elsewhere.test");
    let moved = resident.move_here(&pds, "someone.else.test", &resident.signing.did_key()).sign(&resident.rotation);
    pds.advance(Duration::from_secs(1));
    resident.publish(&pds, &moved).await;
    assert_eq!(look().await, "at://someone.elsewhere.test", "kept");
    let identity = refresh(resident.did.as_str()).ok().await;
    assert_eq!((&identity["did"], &identity["handle"]), (&json!(resident.did), &json!("handle.invalid")));
    assert_eq!(look().await, "at://someone.else.test");
    assert_eq!(refresh("alice.test").ok().await["handle"], "alice.test");

    pds.advance(Duration::from_secs(1));
    let tombstone = UnsignedTombstone { prev: moved.cid() }.sign(&resident.rotation);
    directory(&pds).submit(&resident.did, &tombstone).await.unwrap();
    assert_eq!(refresh(resident.did.as_str()).error().await.1, "DidDeactivated");
    assert_eq!(refresh("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").error().await.1, "DidNotFound");
    assert_eq!(refresh("nobody.test").error().await.1, "HandleNotFound");
    assert_eq!(refresh("no identifier").error().await.0, 400);
}

#[tokio::test]
async fn not_for_everybody() {
    let pds = TestPds::start().await;
    let call = pds.xrpc_post(NSID).json(&json!({ "identifier": "alice.test" }));
    assert_eq!(call.error().await, refusal(401, "AuthMissing", "Authentication Required"));
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
