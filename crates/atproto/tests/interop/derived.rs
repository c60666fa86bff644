//! TIDs and service tokens from `derived`.

use allod_atproto::crypto::{Curve, DidKey, SigningKey};
use allod_atproto::service_auth::{self, ServiceToken};
use allod_atproto::{Nsid, Tid};

use crate::vectors;

#[test]
fn tids() {
    let mut previous: Option<Tid> = None;
    for case in vectors::cases("derived/tid.json", "cases") {
        let micros: u64 = vectors::str(&case, "micros").parse().unwrap();
        let clock_id = u16::try_from(case["clock_id"].as_u64().unwrap()).unwrap();
        let tid = Tid::from_parts(micros, clock_id);
        assert_eq!(tid, vectors::str(&case, "tid"));
        assert_eq!(Tid::parse(vectors::str(&case, "tid")), Ok(tid));
        assert_eq!((tid.micros(), tid.clock_id()), (micros, clock_id));
        assert_eq!(tid.to_u64().to_string(), vectors::str(&case, "u64"));
        assert!(previous.is_none_or(|previous| previous < tid), "the cases are in order");
        previous = Some(tid);
    }
}

#[test]
fn service_tokens() {
    let keys = vectors::cases("derived/did_keys.json", "keys");
    for case in vectors::cases("derived/service_auth_jwt.json", "cases") {
        let jwt = vectors::str(&case, "jwt");
        let unverified = ServiceToken::decode(jwt).unwrap();
        let token = unverified.verify(&DidKey::parse(vectors::str(&case, "did_key")).unwrap()).unwrap();
        let payload = &case["payload"];
        assert_eq!(token.iss, vectors::str(payload, "iss"));
        assert_eq!(token.aud, vectors::str(payload, "aud"));
        assert_eq!(token.lxm, Some(Nsid::parse(vectors::str(payload, "lxm")).unwrap()));
        assert_eq!(token.jti.as_deref(), payload["jti"].as_str());
        assert_eq!((token.iat, Some(token.exp)), (payload["iat"].as_u64(), payload["exp"].as_u64()));
        assert_eq!(token.check(token.exp - 1, std::slice::from_ref(&token.aud), token.lxm.as_ref()), Ok(()));

        let owner = keys.iter().find(|owner| owner["did_key"] == case["did_key"]).unwrap();
        let curve = if vectors::str(owner, "jwtAlg") == "ES256" { Curve::P256 } else { Curve::K256 };
        let bytes: [u8; 32] = vectors::hex(owner, "private_hex").try_into().unwrap();
        let key = SigningKey::from_bytes(curve, &bytes).unwrap();
        assert_eq!(service_auth::encode(&token, &key), jwt);
    }
}
