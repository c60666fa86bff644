//! Invite codes as they are shown, with who used them; and their end.

use allod_store::{
    CommitError, ReadError, Txn,
    tables::invites::{self, InviteCode, InviteUse},
};

use super::{ADMIN, CODES_PER_CALL_MAX, Invites};
use crate::{domain::audit::By, limits::INVITE_USES_PER_PAGE_MAX};

/// How many codes one page lists at the most.
pub const CODES_PER_PAGE_MAX: i64 = 500;

/// How many codes of one account are shown.
pub const CODES_SHOWN_MAX: i64 = 1_000;

/// How many uses of one code are shown, the oldest.
pub const USES_SHOWN_MAX: i64 = 1_000;

/// How many codes and uses of codes make one answer long enough.
pub const ENTRIES_PER_ANSWER_MAX: i64 = 5_000;

/// A code and who used it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    /// The code.
    pub invite: InviteCode,
    /// Who used it, oldest first.
    pub uses: Vec<InviteUse>,
}

/// In which order codes are listed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sort {
    /// The newest first.
    Recent,
    /// The most used first.
    Usage,
}

/// A page of codes.
#[derive(Debug)]
pub struct Page {
    /// The codes.
    pub codes: Vec<Listed>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<String>,
}

/// Why no codes are listed.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// There is no such order.
    #[error("unknown sort method: {0}")]
    Sort(String),
    /// The cursor is none of this list's.
    #[error("Malformed cursor")]
    Cursor,
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

/// Why no code was disabled.
#[derive(Debug, thiserror::Error)]
pub enum DisableError {
    /// The operator's codes are disabled one by one.
    #[error("cannot disable admin invite codes")]
    Admin,
    /// There are too many at once.
    #[error("{CODES_PER_CALL_MAX} codes and accounts at once at the most")]
    TooMany,
    /// It could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

impl Sort {
    /// Reads the name of an order.
    pub fn named(name: &str) -> Result<Self, ListError> {
        match name {
            "recent" => Ok(Self::Recent),
            "usage" => Ok(Self::Usage),
            _ => Err(ListError::Sort(name.to_owned())),
        }
    }
}

/// Reads a cursor: a number, and what tells entries with the same number apart.
fn place(cursor: Option<&str>) -> Result<Option<(i64, &str)>, ListError> {
    let Some(cursor) = cursor else { return Ok(None) };
    let (number, name) = cursor.split_once("::").ok_or(ListError::Cursor)?;
    Ok(Some((number.parse().map_err(|_| ListError::Cursor)?, name)))
}

/// The cursor behind the last entry of a page, unless there can't be more.
fn cursor_after<T>(page: &[T], limit: i64, place: impl FnOnce(&T) -> String) -> Option<String> {
    let is_full = i64::try_from(page.len()).is_ok_and(|count| count == limit);
    page.last().filter(|_| is_full).map(place)
}

impl Listed {
    /// How many codes and uses it lists.
    pub fn entries(&self) -> i64 {
        i64::try_from(self.uses.len()).unwrap_or(i64::MAX).saturating_add(1)
    }
}

/// A code and a page of its uses.
#[derive(Debug)]
pub struct UsesPage {
    /// The code.
    pub invite: InviteCode,
    /// Who used it, oldest first.
    pub uses: Vec<InviteUse>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<String>,
}

impl Invites {
    /// Lists codes without their uses, newest first, and what asks for the next page.
    pub async fn list(&self, cursor: Option<&str>, limit: i64) -> Result<(Vec<InviteCode>, Option<String>), ListError> {
        let invites = invites::page_by_age(&*self.core.db, place(cursor)?, limit).await?;
        let cursor = cursor_after(&invites, limit, |last| format!("{}::{}", last.created_at, last.code));
        Ok((invites, cursor))
    }

    /// Lists codes.
    pub async fn page(&self, sort: Sort, cursor: Option<&str>, limit: i64) -> Result<Page, ListError> {
        let limit = limit.clamp(1, CODES_PER_PAGE_MAX);
        let after = place(cursor)?;
        let invites = match sort {
            Sort::Recent => invites::page_by_age(&*self.core.db, after, limit).await?,
            Sort::Usage => invites::page_by_uses(&*self.core.db, after, limit).await?,
        };
        let count = invites.len();
        let mut codes = Vec::with_capacity(count);
        let mut entries_left = ENTRIES_PER_ANSWER_MAX;
        for invite in invites {
            if entries_left <= 0 {
                break;
            }
            let code = self.listed(invite, USES_SHOWN_MAX).await?;
            entries_left -= code.entries();
            codes.push(code);
        }
        let may_go_on = codes.len() < count || i64::try_from(count).is_ok_and(|count| count == limit);
        let cursor = codes.last().filter(|_| may_go_on).map(|Listed { invite: last, .. }| match sort {
            Sort::Recent => format!("{}::{}", last.created_at, last.code),
            Sort::Usage => format!("{}::{}", last.uses_max - last.uses_left, last.code),
        });
        Ok(Page { codes, cursor })
    }

    /// Tells who used a code, at most `uses_max` of them.
    pub async fn listed(&self, invite: InviteCode, uses_max: i64) -> Result<Listed, ReadError> {
        let is_unused = invite.uses_left == invite.uses_max || uses_max <= 0;
        let uses =
            if is_unused { Vec::new() } else { invites::uses_of(&*self.core.db, &invite.code, None, uses_max).await? };
        Ok(Listed { invite, uses })
    }

    /// Tells who used an owner's codes: all codes together show no more uses than one may.
    pub async fn listed_of_owner(&self, codes: Vec<InviteCode>) -> Result<Vec<Listed>, ReadError> {
        let mut shown: Vec<Listed> = Vec::with_capacity(codes.len());
        let mut uses_left = USES_SHOWN_MAX;
        for code in codes {
            let code = self.listed(code, uses_left).await?;
            uses_left -= code.entries() - 1;
            shown.push(code);
        }
        Ok(shown)
    }

    /// Finds a code and tells who used it, page by page.
    pub async fn show(&self, code: &str, cursor: Option<&str>, limit: i64) -> Result<Option<UsesPage>, ListError> {
        let after = place(cursor)?;
        let Some(invite) = invites::by_code(&*self.core.db, code).await? else { return Ok(None) };
        let limit = limit.clamp(1, INVITE_USES_PER_PAGE_MAX);
        let uses = invites::uses_of(&*self.core.db, code, after, limit).await?;
        let cursor = cursor_after(&uses, limit, |last| format!("{}::{}", last.used_at, last.used_by));
        Ok(Some(UsesPage { invite, uses, cursor }))
    }

    /// Disables codes, and all codes that accounts have now. Those that are not there are disabled already.
    pub async fn disable(&self, by: &By, codes: &[String], accounts: &[String]) -> Result<(), DisableError> {
        let subject = format!("codes [{}] accounts [{}]", codes.join(" "), accounts.join(" "));
        let outcome = self.try_disable(by, codes, accounts, &subject).await;
        if let Err(error) = &outcome {
            self.audit.refused(by, &subject, error).await;
        }
        outcome
    }

    async fn try_disable(
        &self,
        by: &By,
        codes: &[String],
        accounts: &[String],
        subject: &str,
    ) -> Result<(), DisableError> {
        if accounts.iter().any(|account| account == ADMIN) {
            return Err(DisableError::Admin);
        }
        if codes.len().saturating_add(accounts.len()) > CODES_PER_CALL_MAX {
            return Err(DisableError::TooMany);
        }
        let mut txn = Txn::new();
        for code in codes {
            invites::disable(&mut txn, code);
        }
        for account in accounts {
            invites::disable_of_owner(&mut txn, account);
        }
        self.audit.note(&mut txn, by, subject);
        self.core.db.commit(txn).await?;
        Ok(())
    }
}
