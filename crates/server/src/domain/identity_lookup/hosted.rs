//! did:webs that were made here: this server keeps their documents, and answers for them without asking anybody.

use std::collections::BTreeMap;

use allod_atproto::{
    Did, Handle,
    crypto::DidKey,
    did_doc::DidDocument,
    plc::{PlcData, Service},
};
use allod_store::{
    ReadError,
    tables::did_web::{self, HostedDid},
};

use super::IdentityLookup;

/// The name of an account's signing key in its DID document.
pub const SIGNING_KEY_NAME: &str = "atproto";
/// The name of an account's server in its DID document.
pub const PDS_SERVICE_NAME: &str = "atproto_pds";
/// The type of that service.
pub const PDS_SERVICE_TYPE: &str = "AtprotoPersonalDataServer";

/// The did:web whose document is at a host.
pub fn did_of(host: &Handle) -> Option<Did> {
    Did::parse(&format!("did:web:{host}")).ok()
}

/// The host that a did:web's document is at, if it is one that could be a handle.
pub fn host_of(did: &Did) -> Option<Handle> {
    did.web_host().and_then(|host| Handle::parse(&host).ok())
}

impl IdentityLookup {
    /// Finds a did:web that was made here, whatever became of it.
    pub async fn find_hosted(&self, did: &Did) -> Result<Option<HostedDid>, ReadError> {
        if did.method() != "web" {
            return Ok(None);
        }
        did_web::by_did(&*self.core.db, did).await
    }

    /// Renders the document of a did:web that was made here; none when its account is gone and it has not moved.
    pub fn hosted_document(&self, hosted: &HostedDid) -> Option<DidDocument> {
        if let Some(elsewhere) = &hosted.elsewhere {
            return Some(rendered(&hosted.did, &elsewhere.handle, &elsewhere.signing_key, &elsewhere.endpoint));
        }
        let (handle, key) = hosted.account.as_ref()?;
        Some(rendered(&hosted.did, handle, key, &self.public_url))
    }

    /// Whether a DID was made here and its document says what its account here has.
    pub async fn is_ours(&self, did: &Did) -> Result<bool, ReadError> {
        Ok(self.find_hosted(did).await?.is_some_and(|hosted| hosted.elsewhere.is_none()))
    }
}

/// Renders a document in the form that the did:plc directory gives.
pub fn rendered(did: &Did, handle: &Handle, signing_key: &DidKey, endpoint: &str) -> DidDocument {
    let service = Service { kind: PDS_SERVICE_TYPE.to_owned(), endpoint: endpoint.to_owned() };
    let data = PlcData {
        rotation_keys: Vec::new(),
        verification_methods: BTreeMap::from([(SIGNING_KEY_NAME.to_owned(), signing_key.clone().into())]),
        also_known_as: vec![format!("at://{handle}")],
        services: BTreeMap::from([(PDS_SERVICE_NAME.to_owned(), service)]),
    };
    data.document(did)
}
