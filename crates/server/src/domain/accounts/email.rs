//! An account's e-mail address: confirming it, changing it, and asking for a code at sign-in.

use allod_atproto::Did;
use allod_base::clock;
use allod_store::{
    CommitError, ConflictKey, ReadError, Txn,
    tables::{
        accounts::{self, Account},
        unconverted_emails,
    },
};

use crate::{
    app::App,
    domain::{
        email_codes::{CodeError, Purpose},
        emails::{self, EmailAddress, EmailUnsupported},
        mail::{Content, Letter, SendCodeError},
    },
};

/// Why nothing was done with an address.
#[derive(Debug, thiserror::Error)]
pub enum EmailError {
    /// It is another than the account's.
    #[error("invalid email")]
    NotTheAccounts,
    /// Mail can't be sent there.
    #[error(transparent)]
    Unsupported(#[from] EmailUnsupported),
    /// Another account has it.
    #[error("This email address is already in use, please use a different email.")]
    Taken,
    /// The present address is confirmed: what changes it needs a code that is sent there.
    #[error("confirmation token required")]
    TokenRequired,
    /// A code at sign-in is asked for, and the address is not confirmed.
    #[error("The email address must be confirmed before it can be used to sign in")]
    NotConfirmed,
    /// The account changed meanwhile.
    #[error("The account was changed meanwhile; try again")]
    Changed,
    /// No code could be mailed.
    #[error(transparent)]
    Send(#[from] SendCodeError),
    /// The code is not good.
    #[error(transparent)]
    Code(#[from] CodeError),
}

impl From<CommitError> for EmailError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Conflict(ConflictKey::EmailTaken) => Self::Taken,
            CommitError::Conflict(ConflictKey::AccountChanged) => Self::Changed,
            error @ (CommitError::Conflict(_)
            | CommitError::Unavailable { .. }
            | CommitError::Unknown { .. }
            | CommitError::Refused { .. }) => CodeError::from(error).into(),
        }
    }
}

/// Confirms that the account's owner reads mail sent to `email`.
pub async fn confirm(app: &App, account: &Account, email: &str, code: &str) -> Result<(), EmailError> {
    let own = account.email.as_deref().ok_or(EmailError::NotTheAccounts)?;
    if emails::lookup_key(own) != emails::lookup_key(email) {
        return Err(EmailError::NotTheAccounts);
    }
    let mut txn = Txn::new();
    app.email_codes.redeem(&mut txn, &account.did, Purpose::ConfirmEmail, code).await?;
    accounts::confirm_email(&mut txn, &account.did, own, clock::to_store(app.clock.now_micros()));
    app.db.commit(txn).await?;
    Ok(())
}

/// Prepares a change of the address; tells whether it needs a code, which is mailed then.
pub async fn prepare_update(app: &App, account: &Account) -> Result<bool, EmailError> {
    let is_confirmed = account.email_confirmed_at.is_some();
    if is_confirmed {
        app.mail.send_code(account, Purpose::UpdateEmail).await?;
    }
    Ok(is_confirmed)
}

/// Changes the address, or whether signing in needs a code that is sent there. The former address is told.
pub async fn update(
    app: &App,
    account: &Account,
    email: &str,
    auth_factor: Option<bool>,
    code: Option<&str>,
) -> Result<(), EmailError> {
    let address = app.emails.admit(email)?;
    let is_same = account.email.as_deref().map(emails::lookup_key).as_deref() == Some(address.as_str());
    let mut txn = Txn::new();
    // Asking for more at sign-in needs no code: it takes nothing from the owner.
    let adds_factor = is_same && auth_factor == Some(true);
    if account.email_confirmed_at.is_some() && !adds_factor {
        let code = code.map(str::trim).filter(|code| !code.is_empty()).ok_or(EmailError::TokenRequired)?;
        app.email_codes.redeem(&mut txn, &account.did, Purpose::UpdateEmail, code).await?;
    }
    match auth_factor {
        Some(is_needed) if is_same => {
            if is_needed && account.email_confirmed_at.is_none() {
                return Err(EmailError::NotConfirmed);
            }
            accounts::set_email_auth_factor(&mut txn, account, is_needed);
        }
        Some(true) => return Err(EmailError::NotConfirmed),
        Some(false) | None => set(app, &mut txn, account, &address),
    }
    app.db.commit(txn).await?;
    Ok(())
}

/// Adds: the account has another address; the former one is told.
pub fn set(app: &App, txn: &mut Txn, account: &Account, address: &EmailAddress) {
    let now = clock::to_store(app.clock.now_micros());
    accounts::set_email(txn, account, address.as_str(), now);
    let former = account.email.clone().filter(|former| emails::lookup_key(former) != address.as_str());
    if let Some(to) = former {
        let content = Content::EmailChanged { handle: account.handle.clone() };
        app.mail.post(txn, Letter { to, account: Some(account.did.clone()), content });
    }
}

/// How many addresses are read at once.
const CONVERTED_AT_ONCE: i64 = 100;

/// Brings addresses from before there was a canonical form into it; to be called once at start. Where two accounts have
/// one mailbox both stay as they are, and a warning names them.
pub async fn convert_stored(app: &App) -> Result<(), ConvertError> {
    let mut after = String::new();
    loop {
        let page = unconverted_emails::page(&*app.db, &after, CONVERTED_AT_ONCE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        after = last.to_string();
        for (did, email) in page {
            convert(app, &did, email.as_deref()).await?;
        }
    }
}

async fn convert(app: &App, did: &Did, email: Option<&str>) -> Result<(), ConvertError> {
    let mut txn = Txn::new();
    let canonical = email.map(emails::lookup_key);
    match (email, &canonical) {
        (Some(email), Some(canonical)) if email != canonical => {
            unconverted_emails::convert(&mut txn, did, email, canonical);
        }
        (Some(_) | None, _) => unconverted_emails::forget(&mut txn, did),
    }
    match app.db.commit(txn).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict(ConflictKey::EmailTaken)) => {
            let other = accounts::email_holder(&*app.db, canonical.as_deref().unwrap_or_default()).await?;
            // Without another holder the account's address changed meanwhile; the next start looks again.
            if let Some(other) = other.filter(|other| other != did.as_str()) {
                tracing::warn!(
                    %did,
                    other,
                    "two accounts use the same e-mail address: `did` can sign in only by handle until one of them \
                     gets another address (allod account set-email)"
                );
            }
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}

/// Why stored addresses were not all converted. The rest is converted at the next start.
#[derive(Debug, thiserror::Error)]
pub enum ConvertError {
    /// The store could not be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The store could not be written.
    #[error(transparent)]
    Commit(#[from] CommitError),
}
