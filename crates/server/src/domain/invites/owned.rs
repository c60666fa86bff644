//! The codes that an account may give away: one for each stretch of its age.

use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::{
        accounts::Account,
        invites::{self, InviteCode},
    },
};

use super::{ADMIN, CODES_SHOWN_MAX, Invites, Listed};

/// How many unused codes an account has at the most, but for those that the operator gives it.
pub const UNUSED_CODES_MAX: i64 = 5;

const MICROS_PER_MILLI: i64 = 1_000;

/// Why an account's codes are not listed.
#[derive(Debug, thiserror::Error)]
pub enum OwnCodesError {
    /// The account is deactivated.
    #[error("Account not found")]
    Deactivated,
    /// Another request made the same codes.
    #[error("attempted to create additional codes in another request")]
    Duplicate,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The codes could not be written.
    #[error(transparent)]
    Commit(CommitError),
}

impl Invites {
    /// Lists an account's codes that are not disabled, and makes those first that it has grown old enough for.
    pub async fn of_account(
        &self,
        account: &Account,
        used_too: bool,
        make_due: bool,
    ) -> Result<Vec<Listed>, OwnCodesError> {
        if account.deactivated_at.is_some() {
            return Err(OwnCodesError::Deactivated);
        }
        let mut codes = invites::of_owner(&*self.core.db, account.did.as_str(), CODES_SHOWN_MAX).await?;
        if make_due {
            codes.extend(self.make(account, &codes).await?);
        }
        codes.retain(|code| !code.disabled && (used_too || code.uses_left > 0));
        Ok(self.listed_of_owner(codes).await?)
    }

    async fn make(&self, account: &Account, codes: &[InviteCode]) -> Result<Vec<InviteCode>, OwnCodesError> {
        let now = self.core.stored_now();
        let own: Vec<&InviteCode> = codes.iter().filter(|code| code.created_by != ADMIN).collect();
        let count = self.due(account.created_at, now, &own);
        if count <= 0 {
            return Ok(Vec::new());
        }
        let made: Vec<InviteCode> = (0..count)
            .map(|_| InviteCode {
                code: self.new_code(),
                uses_max: 1,
                uses_left: 1,
                disabled: account.invites_disabled,
                for_account: account.did.to_string(),
                created_by: account.did.to_string(),
                created_at: now,
            })
            .collect();
        let mut txn = Txn::new();
        invites::assert_own_count(&mut txn, &account.did, ADMIN, i64::try_from(own.len()).unwrap_or(i64::MAX));
        for code in &made {
            invites::insert(&mut txn, code);
        }
        match self.core.db.commit(txn).await {
            Ok(_) => Ok(made),
            Err(CommitError::Conflict(ConflictKey::InvitesChanged)) => Err(OwnCodesError::Duplicate),
            Err(error) => Err(OwnCodesError::Commit(error)),
        }
    }

    /// How many codes are due: one for each interval since the account or the epoch began, whichever is later, less
    /// those made since the epoch.
    fn due(&self, created_at: i64, now: i64, own: &[&InviteCode]) -> i64 {
        let Some(interval) = self.interval_millis else { return 0 };
        let micros = |millis: u64| i64::try_from(millis).unwrap_or(i64::MAX).saturating_mul(MICROS_PER_MILLI);
        due_codes(created_at, now, micros(self.epoch_millis), micros(interval), own)
    }
}

fn due_codes(created_at: i64, now: i64, epoch: i64, interval: i64, own: &[&InviteCode]) -> i64 {
    let count = |is: &dyn Fn(&InviteCode) -> bool| {
        i64::try_from(own.iter().filter(|code| is(code)).count()).unwrap_or(i64::MAX)
    };
    let age = now.saturating_sub(created_at.max(epoch)).max(0);
    let made = count(&|code| code.created_at > epoch);
    let unused = count(&|code| !code.disabled && code.uses_left > 0);
    (age / interval.max(1)).saturating_sub(made).min(UNUSED_CODES_MAX - unused).max(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(created_at: i64, uses_left: i64, disabled: bool) -> InviteCode {
        let owner = "did:web:alice.test".to_owned();
        InviteCode {
            code: format!("code-{created_at}"),
            uses_max: 1,
            uses_left,
            disabled,
            for_account: owner.clone(),
            created_by: owner,
            created_at,
        }
    }

    #[test]
    fn one_code_an_interval_and_five_unused_at_the_most() {
        let (unused, used, closed) = (code(50, 1, false), code(50, 0, false), code(50, 1, true));
        for (now, epoch, own, expected) in [
            (109, 0, vec![], 0),
            (110, 0, vec![], 1),
            (139, 0, vec![], 3),
            (1_000, 0, vec![], 5),
            (1_000, 0, vec![&unused; 5], 0),
            (1_000, 0, vec![&unused, &unused, &used], 3),
            (120, 0, vec![&used, &used], 0),
            (130, 0, vec![&used, &closed], 1),
            (130, 110, vec![&used, &used], 2),
            (130, 500, vec![], 0),
        ] {
            assert_eq!(due_codes(100, now, epoch, 10, &own), expected, "{now} {epoch} {own:?}");
        }
    }
}
