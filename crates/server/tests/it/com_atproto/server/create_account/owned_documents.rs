//! Owners who have written this server into their DID document before they ask for an account: with a key of their own,
//! which is the only one they can sign the token with.

use std::time::Duration;

use allod_atproto::{
    Did,
    crypto::{Curve, DidKey, SigningKey},
    frame::{AccountStatus, Frame, Message},
    plc::{Operation, UnsignedPlcOperation},
    service_auth::ServiceToken,
};
use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::{create, person, with};
use crate::{
    elsewhere::{Resident, START_SECS, directory, key},
    seen::refusal,
};

const DID_WEB: &str = "did:web:alice.example.com";
const WRONG_KEY: &str = "DID document verification method does not match expected signing key";

/// Somebody whose document names this server.
enum Owner {
    Plc(Resident),
    Web(Resident),
}

impl Owner {
    async fn plc(pds: &TestPds) -> Self {
        let resident = Resident::new(pds, 50).await;
        let operation = resident.move_here(pds, "alice.test", &resident.signing.did_key());
        resident.publish(pds, &operation.sign(&resident.rotation)).await;
        Self::Plc(resident)
    }

    async fn web(pds: &TestPds) -> Self {
        let did = Did::parse(DID_WEB).unwrap();
        let resident = Resident { did, signing: key(Curve::K256, 70), ..Resident::new(pds, 60).await };
        let owner = Self::Web(resident);
        owner.names(pds, &owner.resident().signing.did_key()).await;
        owner
    }

    fn resident(&self) -> &Resident {
        match self {
            Self::Plc(resident) | Self::Web(resident) => resident,
        }
    }

    /// Writes a signing key into the document.
    async fn names(&self, pds: &TestPds, signing: &DidKey) {
        let did = &self.resident().did;
        match self {
            Self::Plc(resident) => {
                let last: Operation = directory(pds).last_operation(did).await.unwrap().unwrap();
                let mut operation = UnsignedPlcOperation::from_data(last.data().unwrap(), Some(last.cid()));
                operation.verification_methods.insert("atproto".to_owned(), signing.clone().into());
                pds.advance(Duration::from_secs(1));
                resident.publish(pds, &operation.sign(&resident.rotation)).await;
            }
            Self::Web(_) => {
                let document = json!({
                    "id": did,
                    "alsoKnownAs": ["at://alice.test"],
                    "verificationMethod": [{
                        "id": format!("{did}#atproto"),
                        "type": "Multikey",
                        "controller": did,
                        "publicKeyMultibase": signing.multibase(),
                    }],
                    "service": [{
                        "id": "#atproto_pds",
                        "type": "AtprotoPersonalDataServer",
                        "serviceEndpoint": pds.app().config.service.public_url,
                    }],
                });
                pds.network().page("https://alice.example.com/.well-known/did.json", 200, document.to_string());
            }
        }
    }

    /// Signs up with a token of this key at this second of the test.
    async fn signs_up(&self, pds: &TestPds, signing: &SigningKey, secs: u64, body: &Value) -> Value {
        let resident = self.resident();
        let (iat, exp) = (Some(START_SECS + secs), START_SECS + secs + 60);
        let claims = ServiceToken { iat, exp, jti: Some(secs.to_string()), ..resident.claims(pds) };
        let token = allod_atproto::service_auth::encode(&claims, signing);
        create(pds, &with(body.clone(), "did", resident.did.as_str())).bearer(&token).ok().await
    }
}

/// Goes the rest of the published steps: the document gets the key that the server advises, then the account is activated.
async fn activates(pds: &TestPds, owner: &Owner, created: &Value) {
    let access = created["accessJwt"].as_str().unwrap();
    let activate = || pds.xrpc_post("com.atproto.server.activateAccount").bearer(access);
    assert_eq!(activate().error().await, refusal(400, "InvalidRequest", WRONG_KEY));
    let status = pds.xrpc_get("com.atproto.server.checkAccountStatus").bearer(access).ok().await;
    assert_eq!((&status["activated"], &status["validDid"]), (&json!(false), &json!(false)));

    let advised = pds.xrpc_get("com.atproto.identity.getRecommendedDidCredentials").bearer(access).ok().await;
    let signing = DidKey::parse(advised["verificationMethods"]["atproto"].as_str().unwrap()).unwrap();
    owner.names(pds, &signing).await;
    assert_eq!(activate().send().await.status.as_u16(), 200);
    let body = json!({ "repo": owner.resident().did, "collection": "com.example.note", "record": { "n": 1 } });
    pds.xrpc_post("com.atproto.repo.createRecord").bearer(access).json(&body).ok().await;
}

#[tokio::test]
async fn the_token_is_proof_enough_and_activation_checks_the_document() {
    let pds = TestPds::start().await;
    for owner in [Owner::plc(&pds).await, Owner::web(&pds).await] {
        let (name, resident) = match &owner {
            Owner::Plc(resident) => ("alice", resident),
            Owner::Web(resident) => ("bob", resident),
        };
        let created = owner.signs_up(&pds, &resident.signing, 0, &person(name)).await;
        assert_eq!(created["did"], resident.did.as_str());
        activates(&pds, &owner, &created).await;
    }
}

#[tokio::test]
async fn a_deleted_account_is_made_again_for_its_owner() {
    for is_web in [false, true] {
        let pds = TestPds::options().invite_required().start().await;
        // The check at the end takes what comes after a deletion for another account's.
        pds.arranges_the_impossible();
        let owner = if is_web { Owner::web(&pds).await } else { Owner::plc(&pds).await };
        let code = pds.invite(2).await;
        let body = with(person("alice"), "inviteCode", code.as_str());
        let created = owner.signs_up(&pds, &owner.resident().signing, 0, &body).await;
        activates(&pds, &owner, &created).await;
        let did = json!({ "did": owner.resident().did });
        let delete = pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&did);
        assert_eq!(delete.send().await.status.as_u16(), 200);

        // The key that the document names is gone with the account: the owner names one of their own, to sign with.
        let own = key(Curve::P256, 90);
        owner.names(&pds, &own.did_key()).await;
        pds.advance(Duration::from_secs(100));
        let secs = pds.app().clock.now_micros() / 1_000_000 - START_SECS;
        let again = owner.signs_up(&pds, &own, secs, &body).await;
        assert_eq!(again["handle"], "alice.test", "the name was kept for its owner");
        activates(&pds, &owner, &again).await;

        // Whoever reads from the start hears nothing of the account that was deleted but that.
        let events = pds.events().await;
        let is_deletion = |frame: &Frame| matches!(&frame.message, Message::Account(account) if account.status == Some(AccountStatus::Deleted));
        let deletion = events.iter().position(|(_, frame)| is_deletion(frame)).unwrap();
        let later: Vec<i64> = events[deletion..].iter().map(|(event, _)| event.seq).collect();
        assert!(deletion > 0 && later.len() > 3);
        assert_eq!(pds.subscribe(Some(0)).await.seqs(later.len()).await, later);
    }
}
