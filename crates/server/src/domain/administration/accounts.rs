//! Accounts as operators and moderators see them, and what these change of them.

use std::sync::Arc;

use allod_atproto::{AtIdentifier, Did};
use allod_base::secret::Secret;
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::{
        accounts::{self, Account},
        invites,
    },
};

use crate::domain::audit::By;
use crate::{
    app::App,
    domain::{
        accounts::{
            deletion::{self, DeleteError},
            email::{self, EmailError},
            password::{self, PasswordError},
        },
        emails,
        invites::{CODES_SHOWN_MAX, ENTRIES_PER_ANSWER_MAX, Listed, USES_SHOWN_MAX},
        mail::{Content, Letter},
    },
};

/// The longest note on why an account's invites are closed, in characters.
pub const NOTE_CHARS_MAX: usize = 1_000;

/// The longest subject line of a letter to an account, in characters.
pub const SUBJECT_CHARS_MAX: usize = 200;

/// The subject line of a letter that comes without one.
const SUBJECT: &str = "Message via your PDS";

/// How many accounts one page of a search lists at the most.
pub const FOUND_PER_PAGE_MAX: i64 = 100;

/// An account, who invited it, and whom it may invite.
#[derive(Debug)]
pub struct Report {
    /// The account.
    pub account: Account,
    /// The code it was made with.
    pub invited_by: Option<Listed>,
    /// Its own codes, oldest first.
    pub invites: Vec<Listed>,
}

/// A page of a search.
#[derive(Debug)]
pub struct Found {
    /// The accounts, in the order of their addresses.
    pub accounts: Vec<Report>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<String>,
}

/// Why nothing was told or changed.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// There is no such account.
    #[error("Account not found")]
    NotFound,
    /// The note is too long.
    #[error("a note has {NOTE_CHARS_MAX} characters at the most")]
    Note,
    /// There is nobody to write to.
    #[error("Recipient not found")]
    NoRecipient,
    /// The account to write to has no address.
    #[error("account does not have an email address")]
    NoAddress,
    /// The subject line is too long, or more than one line.
    #[error("a subject is one line of {SUBJECT_CHARS_MAX} characters at the most")]
    Subject,
    /// The address is not one that the account can have.
    #[error(transparent)]
    Email(#[from] EmailError),
    /// The password is not one that the account can have.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The change could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}

/// Tells of an account.
pub async fn report(app: &App, did: &Did) -> Result<Report, AdminError> {
    let account = accounts::by_did(&*app.db, did).await?.ok_or(AdminError::NotFound)?;
    let mut report = report_in_list(app, account).await?;
    if let Some(by) = report.invited_by.take() {
        report.invited_by = Some(app.invites.listed(by.invite, USES_SHOWN_MAX).await?);
    }
    Ok(report)
}

/// Tells of those accounts that are here, each once, in the order asked for. The last of them are told of without their
/// codes when those of the others come to [`ENTRIES_PER_ANSWER_MAX`].
pub async fn reports(app: &App, dids: &[Did]) -> Result<Vec<Report>, AdminError> {
    let mut reports: Vec<Report> = Vec::new();
    let mut entries_left = ENTRIES_PER_ANSWER_MAX;
    for did in dids {
        if reports.iter().any(|report| report.account.did == *did) {
            continue;
        }
        if let Some(account) = accounts::by_did(&*app.db, did).await? {
            let report = if entries_left > 0 {
                report_in_list(app, account).await?
            } else {
                Report { account, invited_by: None, invites: Vec::new() }
            };
            entries_left -= report.entries();
            reports.push(report);
        }
    }
    Ok(reports)
}

/// Finds accounts whose address begins with what is given; all that have one, if nothing is.
pub async fn search(app: &App, email: Option<&str>, after: Option<&str>, limit: i64) -> Result<Found, AdminError> {
    let prefix = email.map(emails::lookup_key).unwrap_or_default();
    let limit = limit.clamp(1, FOUND_PER_PAGE_MAX);
    let found = accounts::by_email_prefix(&*app.db, &prefix, after.unwrap_or_default(), limit).await?;
    let count = found.len();
    let mut last_key = None;
    let mut accounts = Vec::with_capacity(count);
    let mut entries_left = ENTRIES_PER_ANSWER_MAX;
    for (email_key, account) in found {
        if entries_left <= 0 {
            break;
        }
        let report = report_in_list(app, account).await?;
        entries_left -= report.entries();
        accounts.push(report);
        last_key = Some(email_key);
    }
    let may_go_on = accounts.len() < count || i64::try_from(count).is_ok_and(|count| count == limit);
    Ok(Found { accounts, cursor: last_key.filter(|_| may_go_on) })
}

/// Opens or closes an account's invites. Codes it has stay as they are; closed, none of them makes an account.
pub async fn set_invites(
    app: &App,
    by: &By,
    did: &Did,
    disabled: bool,
    note: Option<String>,
) -> Result<(), AdminError> {
    let outcome = try_set_invites(app, by, did, disabled, note.as_deref()).await;
    noted(app, by, did.as_str(), outcome).await
}

async fn try_set_invites(app: &App, by: &By, did: &Did, disabled: bool, note: Option<&str>) -> Result<(), AdminError> {
    if note.is_some_and(|note| note.chars().count() > NOTE_CHARS_MAX) {
        return Err(AdminError::Note);
    }
    let mut txn = Txn::new();
    accounts::set_invites(&mut txn, did, disabled, note);
    app.audit.note(&mut txn, by, did.as_str());
    commit(app, txn).await
}

/// Ends every sign-in of an account, and takes its password and app passwords away: its owner gets in again by a reset
/// of the password.
pub async fn revoke_credentials(app: &App, by: &By, account: &AtIdentifier) -> Result<(), AdminError> {
    let outcome = async {
        let did = identified(app, account).await?.did;
        let mut txn = Txn::new();
        accounts::clear_passwords(&mut txn, &did);
        app.audit.note(&mut txn, by, did.as_str());
        commit(app, txn).await
    };
    let outcome = outcome.await;
    noted(app, by, account.as_str(), outcome).await
}

/// Gives an account another address, not confirmed yet; the former one is told.
pub async fn set_email(app: &App, by: &By, account: &AtIdentifier, address: &str) -> Result<(), AdminError> {
    let outcome = async {
        let found = identified(app, account).await?;
        let address = app.emails.admit(address).map_err(EmailError::from)?;
        let mut txn = Txn::new();
        email::set(app, &mut txn, &found, &address);
        app.audit.note(&mut txn, by, found.did.as_str());
        app.db.commit(txn).await.map_err(EmailError::from)?;
        Ok(())
    };
    let outcome = outcome.await;
    noted(app, by, account.as_str(), outcome).await
}

/// Gives an account another password, which ends all its sign-ins.
pub async fn set_password(app: &App, by: &By, did: &Did, password: Secret<String>) -> Result<(), AdminError> {
    let mut txn = Txn::new();
    app.audit.note(&mut txn, by, did.as_str());
    let outcome = match password::set_by_operator(app, did, password, txn).await {
        Ok(()) => Ok(()),
        Err(PasswordError::NotFound) => Err(AdminError::NotFound),
        Err(error) => Err(error.into()),
    };
    noted(app, by, did.as_str(), outcome).await
}

/// Posts a letter to an account's owner.
pub async fn send_email(app: &App, by: &By, to: &Did, subject: Option<String>, body: String) -> Result<(), AdminError> {
    let outcome = async {
        let subject = subject.unwrap_or_else(|| SUBJECT.to_owned());
        if subject.chars().count() > SUBJECT_CHARS_MAX || subject.chars().any(char::is_control) {
            return Err(AdminError::Subject);
        }
        let account = accounts::by_did(&*app.db, to).await?.ok_or(AdminError::NoRecipient)?;
        let address = account.email.ok_or(AdminError::NoAddress)?;
        let content = Content::FromOperator { subject, body };
        let mut txn = Txn::new();
        app.mail.post(&mut txn, Letter { to: address, account: Some(account.did), content });
        app.audit.note(&mut txn, by, to.as_str());
        app.db.commit(txn).await?;
        Ok(())
    };
    let outcome = outcome.await;
    noted(app, by, to.as_str(), outcome).await
}

/// Deletes an account for good.
pub async fn delete(app: &Arc<App>, by: &By, did: &Did) -> Result<(), DeleteError> {
    let mut txn = Txn::new();
    app.audit.note(&mut txn, by, did.as_str());
    let outcome = deletion::delete_with(app, did, txn).await;
    if let Err(error) = &outcome {
        app.audit.refused(by, did.as_str(), error).await;
    }
    outcome
}

/// Finds the account that is meant.
pub async fn identified(app: &App, account: &AtIdentifier) -> Result<Account, AdminError> {
    let found = match account {
        AtIdentifier::Did(did) => accounts::by_did(&*app.db, did).await?,
        AtIdentifier::Handle(handle) => accounts::by_handle(&*app.db, handle).await?,
    };
    found.ok_or(AdminError::NotFound)
}

/// Notes a refusal.
async fn noted<T>(app: &App, by: &By, subject: &str, outcome: Result<T, AdminError>) -> Result<T, AdminError> {
    if let Err(error) = &outcome {
        app.audit.refused(by, subject, error).await;
    }
    outcome
}

async fn commit(app: &App, txn: Txn) -> Result<(), AdminError> {
    match app.db.commit(txn).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict(ConflictKey::AccountChanged)) => Err(AdminError::NotFound),
        Err(error) => Err(error.into()),
    }
}

impl Report {
    /// How many codes and uses it lists.
    fn entries(&self) -> i64 {
        self.invites.iter().chain(&self.invited_by).map(Listed::entries).sum()
    }
}

/// Tells of one account among others: of the code that it was made with, only its own use.
async fn report_in_list(app: &App, account: Account) -> Result<Report, ReadError> {
    let invited_by = match &account.invite_code {
        Some(code) => invites::by_code(&*app.db, code).await?,
        None => None,
    };
    let invited_by = match invited_by {
        Some(invite) => {
            let uses = invites::use_by(&*app.db, &invite.code, &account.did).await?.into_iter().collect();
            Some(Listed { invite, uses })
        }
        None => None,
    };
    let own = invites::of_owner(&*app.db, account.did.as_str(), CODES_SHOWN_MAX).await?;
    Ok(Report { invites: app.invites.listed_of_owner(own).await?, account, invited_by })
}
