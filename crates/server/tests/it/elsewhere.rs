//! Identities that were made elsewhere: the test holds their keys, and their document is at the directory.

use allod_atproto::{
    Did, Handle, Nsid,
    crypto::{Curve, DidKey, SigningKey},
    plc::{Operation, UnsignedPlcOperation},
    service_auth::{self, Audience, ServiceToken},
};
use allod_plc::client::PlcClient;
use allod_testkit::TestPds;
use data_encoding::BASE64URL_NOPAD;

/// What createAccount asks a token for.
pub(crate) const CREATE_ACCOUNT: &str = "com.atproto.server.createAccount";

/// When test clocks start, in seconds since the Unix epoch.
pub(crate) const START_SECS: u64 = 1_767_225_600;

/// The order of secp256k1's group, big-endian.
const K256_ORDER: [u8; 32] = [
    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, 0xba, 0xae, 0xdc,
    0xe6, 0xaf, 0x48, 0xa0, 0x3b, 0xbf, 0xd2, 0x5e, 0x8c, 0xd0, 0x36, 0x41, 0x41,
];

/// Makes a private key of a number.
pub(crate) fn key(curve: Curve, number: u8) -> SigningKey {
    SigningKey::from_bytes(curve, &[number; 32]).unwrap()
}

/// Somebody with an identity of their own.
pub(crate) struct Resident {
    pub(crate) did: Did,
    pub(crate) rotation: SigningKey,
    pub(crate) signing: SigningKey,
    pub(crate) last: Operation,
}

impl Resident {
    /// Puts a did:plc at the directory, with a PDS elsewhere; other numbers make other people.
    pub(crate) async fn new(pds: &TestPds, number: u8) -> Self {
        Self::with_curve(pds, number, Curve::K256).await
    }

    /// As [`Resident::new`], with keys of this curve.
    pub(crate) async fn with_curve(pds: &TestPds, number: u8, curve: Curve) -> Self {
        let (rotation, signing) = (key(curve, number), key(curve, number + 1));
        let handle = Handle::parse("someone.elsewhere.test").unwrap();
        let keys = vec![rotation.did_key()];
        let last = UnsignedPlcOperation::atproto(keys, signing.did_key(), &handle, "https://elsewhere.test", None)
            .sign(&rotation);
        let did = last.did().unwrap();
        let resident = Self { did, rotation, signing, last };
        resident.publish(pds, &resident.last).await;
        resident
    }

    /// Sends an operation to the directory, behind the server's back.
    pub(crate) async fn publish(&self, pds: &TestPds, operation: &Operation) {
        directory(pds).submit(&self.did, operation).await.unwrap();
    }

    /// Writes what a token for createAccount here says, good for a minute.
    pub(crate) fn claims(&self, pds: &TestPds) -> ServiceToken {
        ServiceToken {
            iss: self.did.clone(),
            aud: Audience::from(pds.did().clone()),
            exp: START_SECS + 60,
            iat: Some(START_SECS),
            lxm: Some(Nsid::parse(CREATE_ACCOUNT).unwrap()),
            jti: Some("a-nonce".to_owned()),
            kid: None,
        }
    }

    /// Signs a token.
    pub(crate) fn sign(&self, claims: &ServiceToken) -> String {
        service_auth::encode(claims, &self.signing)
    }

    /// Makes a token for createAccount here.
    pub(crate) fn token(&self, pds: &TestPds) -> String {
        self.sign(&self.claims(pds))
    }

    /// Describes the operation that moves the identity here, to be signed by its owner.
    pub(crate) fn move_here(&self, pds: &TestPds, handle: &str, signing_key: &DidKey) -> UnsignedPlcOperation {
        let mut operation = moved_here(pds, &self.rotation, handle, signing_key);
        operation.prev = Some(self.last.cid());
        operation
    }
}

/// Describes an operation that makes an identity here: the owner's rotation key, then the server's.
pub(crate) fn moved_here(
    pds: &TestPds,
    rotation: &SigningKey,
    handle: &str,
    signing_key: &DidKey,
) -> UnsignedPlcOperation {
    let keys = vec![rotation.did_key(), pds.app().rotation_key.did_key()];
    let handle = Handle::parse(handle).unwrap();
    let endpoint = &pds.app().config.service.public_url;
    UnsignedPlcOperation::atproto(keys, signing_key.clone(), &handle, endpoint, None)
}

/// The real directory.
pub(crate) fn directory(pds: &TestPds) -> PlcClient {
    PlcClient::new(pds.plc().real_url().clone(), pds.client().clone())
}

/// Gives a K-256 token the other valid form of its signature: (r, n - s).
pub(crate) fn with_high_s(token: &str) -> String {
    let (signed, signature) = token.rsplit_once('.').unwrap();
    let mut signature = BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap();
    let mut borrow = 0_i16;
    for (digit, order) in signature[32..].iter_mut().zip(K256_ORDER).rev() {
        let difference = i16::from(order) - i16::from(*digit) - borrow;
        borrow = i16::from(difference < 0);
        *digit = u8::try_from(difference.rem_euclid(256)).unwrap();
    }
    format!("{signed}.{}", BASE64URL_NOPAD.encode(&signature))
}

/// Somebody from elsewhere with a deactivated account here, `mover.test`, and an access token of it.
pub(crate) async fn mover(pds: &TestPds) -> (Resident, String) {
    let resident = Resident::new(pds, 50).await;
    let body = serde_json::json!({
        "handle": "mover.test", "email": "mover@mail.test", "password": "correct horse", "did": resident.did
    });
    let created = pds.xrpc_post(CREATE_ACCOUNT).json(&body).bearer(&resident.token(pds)).ok().await;
    let access = created["accessJwt"].as_str().unwrap().to_owned();
    (resident, access)
}
