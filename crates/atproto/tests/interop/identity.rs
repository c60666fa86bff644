//! DID documents from `indigo`.

use allod_atproto::Did;
use allod_atproto::crypto::Curve;
use allod_atproto::did_doc::DidDocument;

use crate::vectors;

fn document(name: &str, did: &str) -> DidDocument {
    DidDocument::parse(vectors::text(name).as_bytes(), &Did::parse(did).unwrap()).unwrap()
}

#[test]
fn documents_of_both_ages_name_the_same_account() {
    let folder = "indigo/atproto/identity/testdata";
    let did = "did:plc:ewvi7nxzyoun6zhxrhs64oiz";
    let now = document(&format!("{folder}/did_plc_doc.json"), did);
    let legacy = document(&format!("{folder}/did_plc_doc_legacy.json"), did);
    assert_eq!(now.signing_key().unwrap().multibase(), "zQ3shXjHeiBuRCKmM36cuYnm7YEMzhGnCmCyW92sRJ9pribSF");
    assert_eq!(now.signing_key(), legacy.signing_key());
    for document in [now, legacy] {
        assert_eq!(document.handle().unwrap(), "atproto.com");
        assert_eq!(document.pds_endpoint(), Some("https://bsky.social"));
    }
}

#[test]
fn a_service_is_no_account() {
    let document = document("indigo/atproto/identity/testdata/did_web_doc.json", "did:web:discover.bsky.social");
    assert_eq!((document.handle(), document.signing_key(), document.pds_endpoint()), (None, None, None));
    assert_eq!(document.service("bsky_fg", Some("BskyFeedGenerator")), Some("https://discover.bsky.social"));
}

#[test]
fn documents_of_the_repository_exports() {
    for (name, did, handle, curve) in [
        ("did_plc_z5vnbioquyhivxirw3bbljmu", "did:plc:z5vnbioquyhivxirw3bbljmu", "koch5149-c5.test", Curve::K256),
        ("fakermaker", "did:plc:dpg45vsnuir2vqqqadsn6afg", "ebert9014-89.test", Curve::P256),
        ("greenground", "did:plc:wqgdnqlv2mwiio6pfchwtrff", "greenground.bsky.social", Curve::K256),
        ("paul_staging", "did:plc:cmpvykrzb2l22kj4ojlv3ox4", "paul.staging.bsky.dev", Curve::K256),
    ] {
        let document = document(&format!("indigo/testing/testdata/{name}.didDoc.json"), did);
        assert_eq!(document.handle().unwrap(), handle);
        assert_eq!(document.signing_key().unwrap().curve(), curve);
    }
}
