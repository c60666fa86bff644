//! An owner who keeps the server's rotation key out of their did:plc: everything that demands it, and what it does where
//! `server_rotation_key_required` is off.

use std::time::Duration;

use allod_atproto::{crypto::DidKey, plc::UnsignedPlcOperation};
use allod_store::tables::signing_keys;
use allod_testkit::TestPds;
use serde_json::{Value, json};

use crate::{
    elsewhere::{Resident, directory, key, mover},
    seen::{Refusal, refusal},
};

/// An active account whose owner has taken the server's rotation key out of the identity since.
struct Owner {
    pds: TestPds,
    resident: Resident,
    access: String,
}

impl Owner {
    async fn new(required: bool) -> Self {
        let options = TestPds::options().config(move |config| config.sign_up.server_rotation_key_required = required);
        let pds = options.start().await;
        // The check at the end knows one key of each account.
        pds.arranges_the_impossible();
        let (resident, access) = mover(&pds).await;
        let stored = signing_keys::by_did(&*pds.app().db, &resident.did).await.unwrap().unwrap();
        let operation = resident.move_here(&pds, "mover.test", &stored.did_key).sign(&resident.rotation);
        resident.publish(&pds, &operation).await;
        let owner = Self { pds, resident, access };
        assert_eq!(owner.post("com.atproto.server.activateAccount", None).await, Ok(()));
        owner.publish(|operation| operation.rotation_keys.truncate(1)).await;
        owner
    }

    /// The operation that follows the last one, unchanged.
    async fn next(&self) -> UnsignedPlcOperation {
        let last = directory(&self.pds).last_operation(&self.resident.did).await.unwrap().unwrap();
        self.pds.advance(Duration::from_secs(1));
        UnsignedPlcOperation::from_data(last.data().unwrap(), Some(last.cid()))
    }

    /// The owner changes the identity at the directory.
    async fn publish(&self, change: impl FnOnce(&mut UnsignedPlcOperation)) {
        let mut operation = self.next().await;
        change(&mut operation);
        self.resident.publish(&self.pds, &operation.sign(&self.resident.rotation)).await;
    }

    async fn post(&self, nsid: &str, body: Option<Value>) -> Result<(), Refusal> {
        let mut call = self.pds.xrpc_post(nsid).bearer(&self.access);
        if let Some(body) = body {
            call = call.json(&body);
        }
        let reply = call.send().await;
        if reply.status.is_success() {
            return Ok(());
        }
        let (error, message) = (reply.json()["error"].clone(), reply.json()["message"].clone());
        Err((reply.status.as_u16(), error.as_str().unwrap().to_owned(), message.as_str().unwrap().to_owned()))
    }

    async fn get(&self, nsid: &str) -> Value {
        self.pds.xrpc_get(nsid).bearer(&self.access).ok().await
    }
}

fn invalid(message: &str) -> Result<(), Refusal> {
    Err(refusal(400, "InvalidRequest", message))
}

#[tokio::test]
async fn each_place_demands_the_key_or_none_does() {
    const NOT_IN_DATA: &str = "Server rotation key not included in PLC DID data";
    for required in [true, false] {
        let owner = Owner::new(required).await;
        let allowed = |message: &str| if required { invalid(message) } else { Ok(()) };
        let status = owner.get("com.atproto.server.checkAccountStatus").await;
        assert_eq!(status["validDid"], json!(!required));
        assert_eq!(owner.post("com.atproto.server.activateAccount", None).await, allowed(NOT_IN_DATA));

        let mut operation = owner.next().await;
        operation.also_known_as.push("https://mover.example.com".to_owned());
        let body = json!({ "operation": operation.sign(&owner.resident.rotation).to_json() });
        let submitted = owner.post("com.atproto.identity.submitPlcOperation", Some(body)).await;
        assert_eq!(submitted, allowed("Rotation keys do not include server's rotation key"));

        let update = |handle: &str| owner.post("com.atproto.identity.updateHandle", Some(json!({ "handle": handle })));
        let unclaimed = if required { NOT_IN_DATA } else { "DID is not properly configured for handle" };
        assert_eq!(update("liz.test").await, invalid(unclaimed));
        owner.publish(|operation| operation.also_known_as = vec!["at://liz.test".to_owned()]).await;
        assert_eq!(update("liz.test").await, Ok(()), "what the directory says already needs nobody's signature");

        let advised = owner.get("com.atproto.identity.getRecommendedDidCredentials").await;
        let ours = owner.pds.app().rotation_key.did_key();
        assert_eq!(advised["rotationKeys"], json!([ours.as_str()]), "it is advised all the same");
    }
}

#[tokio::test]
async fn a_reserved_key_that_the_owner_published_is_adopted() {
    let owner = Owner::new(false).await;
    let reserve = owner.pds.xrpc_post("com.atproto.server.reserveSigningKey").json(&json!({})).ok().await;
    let reserved = reserve["signingKey"].as_str().unwrap();
    let body = json!({ "did": owner.resident.did, "signingKey": reserved });
    let adopt = || owner.pds.xrpc_post("com.atproto.admin.updateAccountSigningKey").admin().json(&body);
    let unpublished = refusal(400, "InvalidRequest", "Server rotation key not included in PLC DID data");
    assert_eq!(adopt().error().await, unpublished);
    let published = DidKey::parse(reserved).unwrap();
    owner
        .publish(|operation| drop(operation.verification_methods.insert("atproto".to_owned(), published.into())))
        .await;
    let sent = owner.pds.plc().submissions().len();
    assert_eq!(adopt().send().await.status.as_u16(), 200);
    assert_eq!(owner.pds.plc().submissions().len(), sent, "the directory has it already");
    let stored = signing_keys::by_did(&*owner.pds.app().db, &owner.resident.did).await.unwrap().unwrap();
    assert_eq!(stored.did_key.as_str(), reserved);
    assert_eq!(owner.get("com.atproto.server.checkAccountStatus").await["validDid"], true);
}

#[tokio::test]
async fn whatever_else_does_not_fit_is_refused_all_the_same() {
    let owner = Owner::new(false).await;
    let other = key(allod_atproto::crypto::Curve::K256, 99).did_key();
    owner.publish(|operation| drop(operation.verification_methods.insert("atproto".to_owned(), other.into()))).await;
    assert_eq!(owner.get("com.atproto.server.checkAccountStatus").await["validDid"], false);
    let message = "DID document verification method does not match expected signing key";
    assert_eq!(owner.post("com.atproto.server.activateAccount", None).await, invalid(message));
}
