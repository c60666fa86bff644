//! Signing keys made here before the account they are for, so that its owner can put them into their own operation.

use std::sync::Arc;

use allod_atproto::{
    Did,
    crypto::{DidKey, SigningKey},
};
use allod_base::clock::{self, MICROS_PER_SEC};
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::signing_keys::{self, WrappedKey},
};

use super::{
    core::Core,
    keys::{self, Keyring, Purpose, UnwrapError},
};

/// How long a reserved key is kept for its account, in seconds.
pub const RESERVED_KEY_SECS: u64 = 7 * 24 * 60 * 60;
/// How many keys are reserved at once at the most.
pub const RESERVED_KEYS_MAX: i64 = 20_000;

/// Why no key was reserved.
#[derive(Debug, thiserror::Error)]
pub enum ReserveKeyError {
    /// [`RESERVED_KEYS_MAX`] keys are waiting already.
    #[error("too many signing keys are reserved; try again later")]
    Full,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The key could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// The keys that one server reserves.
#[derive(Clone)]
pub struct ReservedKeys {
    core: Core,
    keyring: Arc<Keyring>,
}

/// A key that was reserved.
pub struct Reserved {
    /// The key.
    pub signing: SigningKey,
    /// Whether it was reserved for the DID that asks for it, or for none in particular.
    pub is_for_did: bool,
}

/// Why a reserved key can't be read.
#[derive(Debug, thiserror::Error)]
pub enum FindKeyError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The key can't be unwrapped.
    #[error(transparent)]
    Key(#[from] UnwrapError),
}

impl ReservedKeys {
    /// Keeps keys in the store.
    pub fn new(core: Core, keyring: Arc<Keyring>) -> Self {
        Self { core, keyring }
    }

    /// Reserves a key; asked again for the same DID, gives the same key.
    pub async fn reserve(&self, did: Option<&Did>) -> Result<DidKey, ReserveKeyError> {
        let now = self.core.clock.now_micros();
        if let Some(did) = did
            && let Some(reserved) = signing_keys::reserved_for(&*self.core.db, did, clock::to_store(now)).await?
        {
            return Ok(reserved.did_key);
        }
        if signing_keys::reserved_count(&*self.core.db).await? >= RESERVED_KEYS_MAX {
            return Err(ReserveKeyError::Full);
        }
        let key = keys::generate(&*self.core.randomness);
        let did_key = key.did_key();
        let wrapped = self.keyring.wrap(&key, Purpose::Reserved(&did_key), &*self.core.randomness);
        let expires_at = clock::to_store(now + RESERVED_KEY_SECS * MICROS_PER_SEC);
        let mut txn = Txn::new();
        let row = WrappedKey { did_key: did_key.clone(), wrapped };
        signing_keys::reserve(&mut txn, did, &row, clock::to_store(now), expires_at);
        match (self.core.db.commit(txn).await, did) {
            (Ok(_), _) => Ok(did_key),
            (Err(error @ CommitError::Conflict(ConflictKey::ReservedKeyMoved)), Some(did)) => {
                let winner = signing_keys::reserved_for(&*self.core.db, did, clock::to_store(now)).await?;
                winner.map(|reserved| reserved.did_key).ok_or_else(|| error.into())
            }
            (Err(error), _) => Err(error.into()),
        }
    }

    /// Finds a reserved key that this DID may use: one reserved for it, or for no DID in particular.
    pub async fn find(&self, did_key: &DidKey, did: &Did) -> Result<Option<Reserved>, FindKeyError> {
        let now = self.core.stored_now();
        let Some((key, owner)) = signing_keys::reserved(&*self.core.db, did_key, now).await? else { return Ok(None) };
        if owner.as_ref().is_some_and(|owner| owner != did.as_str()) {
            return Ok(None);
        }
        let signing = self.keyring.unwrap(&key.wrapped, Purpose::Reserved(did_key))?;
        Ok(Some(Reserved { signing, is_for_did: owner.is_some() }))
    }
}
