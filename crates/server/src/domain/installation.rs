//! What the stored data belongs to: the keys it is encrypted and signed with, and the names that its accounts' DID
//! documents have. Compared with the configuration before a server does anything with the data.
//!
//! Of the master key a keyed hash of a fixed text is kept, of the rotation key its public half, which every DID
//! document lists anyway.

use std::fmt;

use allod_store::{
    CommitError, Database, ReadError, Txn,
    tables::{
        meta::{self, Facts},
        signing_keys,
    },
};
use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::{
    audit::{Actor, AuditLog, By},
    keys::{Keyring, Purpose},
};
use crate::config::Config;

/// What the check value of the master key is made of.
const MASTER_KEY_LABEL: &[u8] = b"allod master key check v1";
/// How long the check value is, in bytes.
const MASTER_KEY_CHECK_BYTES: usize = 16;

/// The keys and names of one installation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The check value of the master key, in hexadecimal digits.
    pub master_key: String,
    /// The public rotation key, a did:key.
    pub rotation_key: String,
    /// The public host name.
    pub hostname: String,
    /// The service's DID.
    pub service_did: String,
    /// The port that DID documents name; none where they name none, or where any port will do.
    pub port: Option<u16>,
}

/// One of an installation's keys or names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The master key.
    MasterKey,
    /// The did:plc rotation key.
    RotationKey,
    /// The host name.
    Hostname,
    /// The service's DID.
    ServiceDid,
    /// The port.
    Port,
}

impl Part {
    /// Every part.
    pub const ALL: [Self; 5] = [Self::MasterKey, Self::RotationKey, Self::Hostname, Self::ServiceDid, Self::Port];

    /// Its name in the store, and for scripts.
    pub fn fact(self) -> &'static str {
        match self {
            Self::MasterKey => meta::MASTER_KEY_CHECK,
            Self::RotationKey => meta::ROTATION_KEY,
            Self::Hostname => meta::HOSTNAME,
            Self::ServiceDid => meta::SERVICE_DID,
            Self::Port => meta::PORT,
        }
    }

    /// What operators know it as.
    pub fn name(self) -> &'static str {
        match self {
            Self::MasterKey => "master key",
            Self::RotationKey => "did:plc rotation key",
            Self::Hostname => "hostname",
            Self::ServiceDid => "service DID",
            Self::Port => "port",
        }
    }

    /// What the data says of a part; none when that is not known yet.
    pub fn stored(self, facts: &Facts) -> Option<String> {
        facts.get(self.fact()).map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn remedy(self) -> &'static str {
        match self {
            Self::MasterKey => {
                "The accounts' signing keys can't be decrypted with the configured key. Set master_key_hex, or the \
                 rotation key it is derived from, from the copy of your secrets."
            }
            Self::RotationKey => {
                "This server can't change the identities of its accounts with the configured key. Set \
                 plc_rotation_key_k256_private_key_hex from the copy of your secrets. If the DID documents list the new \
                 key already, confirm the change: `allod data accept --rotation-key`."
            }
            Self::Hostname | Self::ServiceDid => {
                "Set the old name again. To rename the server: `allod data accept --hostname` says what stops working and \
                 confirms the change."
            }
            Self::Port => {
                "The accounts' DID documents name that port. Start with it again, or use another data directory."
            }
        }
    }
}

/// A part that the data and the configuration disagree about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mismatch {
    /// Which part.
    pub part: Part,
    /// What the data was made with.
    pub stored: String,
    /// What is configured.
    pub configured: String,
}

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { part, stored, configured } = self;
        write!(
            f,
            "the data was made with another {}: the data has {stored}, the configuration {configured}. {}",
            part.name(),
            part.remedy()
        )
    }
}

/// Why the data can't be used with this configuration. Nothing has changed.
#[derive(Debug, thiserror::Error)]
pub enum InstallationError {
    /// Keys or names differ.
    #[error("{}", listed(.0))]
    Mismatches(Vec<Mismatch>),
    /// A stored key does not open with the master key.
    #[error(
        "the data was made with another master key: the signing key of {did} can't be decrypted with the configured one \
         ({configured}). {}",
        Part::MasterKey.remedy()
    )]
    MasterKey {
        /// Whose key was tried.
        did: String,
        /// The configured key's check value.
        configured: String,
    },
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// What the data belongs to could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

fn listed(mismatches: &[Mismatch]) -> String {
    mismatches.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}

impl Installation {
    /// The installation that a configuration describes. `fixed_port` is the port that DID documents name, where the
    /// host is this machine and the operator chose one.
    pub fn of(config: &Config, rotation_key: String, fixed_port: Option<u16>) -> Self {
        let mac = <Hmac<Sha256> as KeyInit>::new_from_slice(config.secrets.master_key.expose());
        #[expect(clippy::expect_used, reason = "an HMAC takes keys of every length")]
        let mac = mac.expect("a key of 32 bytes").chain_update(MASTER_KEY_LABEL).finalize().into_bytes();
        let master_key = HEXLOWER.encode(mac.get(..MASTER_KEY_CHECK_BYTES).unwrap_or_default());
        Self {
            master_key,
            rotation_key,
            hostname: config.service.hostname.clone(),
            service_did: config.service.did.to_string(),
            port: fixed_port,
        }
    }

    /// What is configured of a part; none where there is none.
    pub fn part(&self, part: Part) -> Option<String> {
        match part {
            Part::MasterKey => Some(self.master_key.clone()),
            Part::RotationKey => Some(self.rotation_key.clone()),
            Part::Hostname => Some(self.hostname.clone()),
            Part::ServiceDid => Some(self.service_did.clone()),
            Part::Port => self.port.map(|port| port.to_string()),
        }
    }

    /// Compares with what the data says; a part that it does not know yet fits.
    pub fn mismatches(&self, facts: &Facts) -> Vec<Mismatch> {
        let differs = |part: Part| {
            let stored = part.stored(facts)?;
            let configured = self.part(part)?;
            (stored != configured).then_some(Mismatch { part, stored, configured })
        };
        Part::ALL.into_iter().filter_map(differs).collect()
    }

    /// Checks that the data belongs to this installation, and writes down what it belongs to where that was not known.
    /// Data that nothing depends on yet takes any keys and names.
    pub async fn check(&self, db: &dyn Database, keyring: &Keyring) -> Result<(), InstallationError> {
        let facts = meta::facts(db).await?;
        let mismatches = self.mismatches(&facts);
        let is_new = !facts.contains_key(meta::MASTER_KEY_CHECK);
        if (is_new || !mismatches.is_empty()) && meta::is_in_use(db).await? {
            if !mismatches.is_empty() {
                return Err(InstallationError::Mismatches(mismatches));
            }
            self.check_master_key(db, keyring).await?;
        }
        let mut txn = Txn::new();
        for part in Part::ALL {
            if let Some(configured) = self.part(part)
                && facts.get(part.fact()).is_none_or(|stored| **stored != *configured.as_bytes())
            {
                meta::put(&mut txn, part.fact(), configured.as_bytes());
            }
        }
        if !txn.steps.is_empty() {
            db.commit(txn).await?;
        }
        Ok(())
    }

    /// Tries the master key on one stored key: data of an earlier version has no check value.
    async fn check_master_key(&self, db: &dyn Database, keyring: &Keyring) -> Result<(), InstallationError> {
        let Some((did, key)) = signing_keys::any(db).await? else { return Ok(()) };
        match keyring.unwrap(&key.wrapped, Purpose::Signing(&did)) {
            Ok(_) => Ok(()),
            Err(_) => Err(InstallationError::MasterKey { did: did.to_string(), configured: self.master_key.clone() }),
        }
    }

    /// Takes parts of the configuration over as those of the data, on purpose; tells what changed. The master key can't
    /// be taken over, for it has to decrypt what is stored.
    pub async fn accept(
        &self,
        db: &dyn Database,
        audit: &AuditLog,
        parts: &[Part],
    ) -> Result<Vec<Mismatch>, InstallationError> {
        let mut mismatches = self.mismatches(&meta::facts(db).await?);
        mismatches.retain(|mismatch| parts.contains(&mismatch.part) && mismatch.part != Part::MasterKey);
        if mismatches.is_empty() {
            return Ok(mismatches);
        }
        let mut txn = Txn::new();
        let by = By { actor: Actor::CommandLine, method: "data accept" };
        for Mismatch { part, stored, configured } in &mismatches {
            meta::put(&mut txn, part.fact(), configured.as_bytes());
            audit.note(&mut txn, &by, &format!("{}: {stored} is now {configured}", part.name()));
        }
        db.commit(txn).await?;
        Ok(mismatches)
    }
}
