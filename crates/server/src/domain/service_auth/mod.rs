//! Tokens that another service, or an account elsewhere, signs to ask something of this one.

mod mint;

use std::sync::Arc;

use allod_atproto::{
    Did, Nsid,
    service_auth::{Audience, LABELER_SERVICE, ServiceToken, Unverified},
};
use allod_base::clock::{self, MICROS_PER_SEC};
use allod_net::resolver::{Freshness, ResolveError};
use allod_store::{CommitError, ReadError, Txn, tables::used_tokens};
use sha2::{Digest, Sha256};

pub use mint::{MintError, TokenRequest};

use super::{
    core::Core,
    identity_lookup::{DocumentError, IdentityLookup},
    keys::Keyring,
};
use crate::config::Config;

/// Who signed a token, and what is needed to use it up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePrincipal {
    /// The issuer.
    pub did: Did,
    /// SHA-256 of what was signed: the token's one-use identity.
    pub token_hash: Vec<u8>,
    /// When it ends, in seconds since the Unix epoch.
    pub expires_at_secs: u64,
}

/// Why a token speaks for nobody.
#[derive(Debug, thiserror::Error)]
pub enum ServiceAuthError {
    /// The token is malformed, for somebody else, for another method, or over; the text and name are the protocol's.
    #[error(transparent)]
    Token(#[from] allod_atproto::service_auth::ServiceAuthError),
    /// The issuer's document can't be had.
    #[error("could not resolve iss did")]
    Unresolvable {
        /// Who the issuer says it is.
        did: Did,
        /// Why.
        #[source]
        source: ResolveError,
    },
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The issuer's document has no key to check with.
    #[error("missing or bad key in did doc")]
    NoKey {
        /// Who the issuer says it is.
        did: Did,
    },
}

/// Why a token does not speak for the moderation service.
#[derive(Debug, thiserror::Error)]
pub enum ModerationTokenError {
    /// Its issuer is somebody else, or another service of the same DID.
    #[error("Untrusted issuer")]
    Untrusted,
    /// It speaks for nobody.
    #[error(transparent)]
    Service(#[from] ServiceAuthError),
}

/// Makes and checks service tokens.
pub struct ServiceAuth {
    core: Core,
    keyring: Arc<Keyring>,
    identities: Arc<IdentityLookup>,
    /// The service's own DID, the audience of tokens for it.
    did: Did,
    moderation_service_did: Option<Did>,
}

impl ServiceAuth {
    /// Signs with the keys in the store, and checks with those in DID documents.
    pub fn new(core: Core, keyring: Arc<Keyring>, identities: Arc<IdentityLookup>, config: &Config) -> Self {
        let (did, moderation_service_did) = (config.service.did.clone(), config.moderation_service_did.clone());
        Self { core, keyring, identities, did, moderation_service_did }
    }

    /// Checks a token for one method: form, audience, method, end, then the signature by the key in the issuer's
    /// document, which is fetched anew once when the kept one's key does not fit.
    pub async fn verify(&self, token: &str, method: &Nsid) -> Result<ServicePrincipal, ServiceAuthError> {
        let unverified = self.decode(token, method)?;
        let claims = self.verify_signature(&unverified, "atproto").await?;
        // A signature has two valid forms, so what was signed is the token's identity.
        let signed = token.rsplit_once('.').map_or(token, |(signed, _)| signed);
        Ok(ServicePrincipal {
            token_hash: Sha256::digest(signed.as_bytes()).to_vec(),
            expires_at_secs: claims.exp,
            did: claims.iss,
        })
    }

    /// Checks a token of the moderation service for one method. It speaks with its signing key, or as its labeler with
    /// the key of its labels.
    pub async fn verify_moderation(&self, token: &str, method: &Nsid) -> Result<Did, ModerationTokenError> {
        let unverified = self.decode(token, method)?;
        let moderation = self.moderation_service_did.as_ref();
        let key = match unverified.issuer_service() {
            _ if moderation != Some(unverified.issuer()) => return Err(ModerationTokenError::Untrusted),
            None => "atproto",
            Some(LABELER_SERVICE) => "atproto_label",
            Some(_) => return Err(ModerationTokenError::Untrusted),
        };
        Ok(self.verify_signature(&unverified, key).await?.iss)
    }

    /// Reads a token and checks what needs no key.
    fn decode(&self, token: &str, method: &Nsid) -> Result<Unverified, ServiceAuthError> {
        let unverified = ServiceToken::decode(token)?;
        let now_secs = self.core.newest_time.for_others_micros() / MICROS_PER_SEC;
        let audience = Audience::from(self.did.clone());
        unverified.unverified_claims().check(now_secs, &[audience], Some(method))?;
        Ok(unverified)
    }

    async fn verify_signature(&self, token: &Unverified, key: &str) -> Result<ServiceToken, ServiceAuthError> {
        match self.check_signature(token, key, Freshness::Cached).await {
            Ok(claims) => Ok(claims),
            Err(_) => self.check_signature(token, key, Freshness::Fresh).await,
        }
    }

    /// Forgets tokens that were used and have expired since.
    pub async fn forget_used(&self) -> Result<(), CommitError> {
        let now = clock::to_store(self.core.newest_time.for_others_micros());
        if !used_tokens::any_expired(&*self.core.db, now).await.unwrap_or(true) {
            return Ok(());
        }
        let mut txn = Txn::new();
        used_tokens::forget_expired(&mut txn, now);
        self.core.db.commit(txn).await.map(|_| ())
    }

    async fn check_signature(
        &self,
        token: &Unverified,
        key: &str,
        freshness: Freshness,
    ) -> Result<ServiceToken, ServiceAuthError> {
        let did = token.issuer();
        let document = self.identities.resolve_document(did, freshness).await;
        let document = document.map_err(|error| match error {
            DocumentError::Read(error) => ServiceAuthError::Read(error),
            DocumentError::Resolve(source) => ServiceAuthError::Unresolvable { did: did.clone(), source },
        })?;
        let key = document.key(key).ok_or_else(|| ServiceAuthError::NoKey { did: did.clone() })?;
        Ok(token.verify(&key)?)
    }
}
