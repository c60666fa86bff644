//! Invite codes: made by the operator, used once per account.

mod listing;
pub mod owned;

use allod_store::{
    CommitError, ReadError, Txn,
    tables::invites::{self, InviteCode},
};

pub use listing::{
    CODES_PER_PAGE_MAX, CODES_SHOWN_MAX, DisableError, ENTRIES_PER_ANSWER_MAX, ListError, Listed, Page, Sort,
    USES_SHOWN_MAX, UsesPage,
};

use super::{audit::AuditLog, core::Core};
use crate::config::Config;

/// How many codes one call makes at the most.
pub const CODES_PER_CALL_MAX: usize = 1_000;
/// How many accounts one code makes at the most.
pub const USES_PER_CODE_MAX: i64 = 1_000_000;

/// Who codes made by the operator belong to.
pub const ADMIN: &str = "admin";

const CODE_HALF_CHARS: usize = 5;
const CODE_ALPHABET: &[u8; 32] = b"abcdefghijklmnopqrstuvwxyz234567";

/// Why no code was made.
#[derive(Debug, thiserror::Error)]
pub enum CreateInvitesError {
    /// The number of uses is not between 1 and [`USES_PER_CODE_MAX`].
    #[error("useCount must be from 1 to {USES_PER_CODE_MAX}")]
    UseCount,
    /// More than [`CODES_PER_CALL_MAX`] codes were asked for, or none.
    #[error("between 1 and {CODES_PER_CALL_MAX} codes can be made at once")]
    CodeCount,
    /// The write failed.
    #[error(transparent)]
    Store(#[from] CommitError),
}

/// The invite codes of one server.
pub struct Invites {
    core: Core,
    audit: AuditLog,
    /// What codes begin with.
    prefix: String,
    interval_millis: Option<u64>,
    epoch_millis: u64,
}

impl Invites {
    /// Keeps codes in the store.
    pub fn new(core: Core, audit: AuditLog, config: &Config) -> Self {
        Self {
            core,
            audit,
            prefix: config.service.hostname.replace('.', "-"),
            interval_millis: config.sign_up.invite_interval_millis,
            epoch_millis: config.sign_up.invite_epoch_millis,
        }
    }

    /// Makes one code good for `uses` sign-ups.
    pub async fn create_one(&self, uses: i64, for_account: String) -> Result<String, CreateInvitesError> {
        let codes = self.create(1, uses, &[for_account]).await?;
        codes.into_iter().next().map(|code| code.code).ok_or(CreateInvitesError::CodeCount)
    }

    /// Makes `count` codes for each of the accounts, each good for `uses` sign-ups.
    pub async fn create(
        &self,
        count: i64,
        uses: i64,
        for_accounts: &[String],
    ) -> Result<Vec<InviteCode>, CreateInvitesError> {
        if !(1..=USES_PER_CODE_MAX).contains(&uses) {
            return Err(CreateInvitesError::UseCount);
        }
        let count = usize::try_from(count).unwrap_or(0);
        if !(1..=CODES_PER_CALL_MAX).contains(&count.saturating_mul(for_accounts.len())) {
            return Err(CreateInvitesError::CodeCount);
        }
        let created_at = self.core.stored_now();
        let codes: Vec<_> = for_accounts
            .iter()
            .flat_map(|account| std::iter::repeat_n(account, count))
            .map(|account| InviteCode {
                code: self.new_code(),
                uses_max: uses,
                uses_left: uses,
                disabled: false,
                for_account: account.clone(),
                created_by: ADMIN.to_owned(),
                created_at,
            })
            .collect();
        let mut txn = Txn::new();
        for code in &codes {
            invites::insert(&mut txn, code);
        }
        self.core.db.commit(txn).await?;
        Ok(codes)
    }

    /// Tells whether a code could make an account now. Whether it does is decided when its use is taken.
    pub async fn is_usable(&self, code: &str) -> Result<bool, ReadError> {
        match invites::by_code(&*self.core.db, code).await? {
            Some(code) if !code.disabled && code.uses_left > 0 => {
                Ok(!invites::is_owner_barred(&*self.core.db, &code).await?)
            }
            Some(_) | None => Ok(false),
        }
    }

    fn new_code(&self) -> String {
        let random: [u8; 2 * CODE_HALF_CHARS] = self.core.random_bytes();
        let letters: Vec<char> = random
            .iter()
            .filter_map(|byte| CODE_ALPHABET.get(usize::from(byte & 31)))
            .map(|byte| char::from(*byte))
            .collect();
        let (first, second) = letters.split_at(CODE_HALF_CHARS);
        format!("{}-{}-{}", self.prefix, String::from_iter(first), String::from_iter(second))
    }
}
