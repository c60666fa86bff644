//! Carries commands out, through the same domain functions as the endpoints.

use std::sync::Arc;

use allod_atproto::{Did, crypto::DidKey};
use allod_base::{clock, secret::Secret};
use allod_store::{
    ReadError,
    tables::{accounts::Account, invites::InviteCode},
};

use super::{
    AccountCreated, AccountDetails, AccountPage, Answer, Command, ControlError, INVITES_AT_ONCE_MAX, InviteDetails,
    InviteList, InvitesCreated, KeyRotated, LIST_ITEMS_MAX, Password, Peer, RecoveryKeyAdded, administration, firehose,
    mail, repos, status,
};
use crate::{
    app::App,
    domain::{
        account_status::Status,
        administration::identities,
        audit::{Actor, By},
        handles::HandleError,
        identity::published,
        invites::{self, CreateInvitesError, ListError},
        sign_up::{SignUpError, SignUpRequest, sign_up},
    },
};

/// Carries a command out. `peer` has what the command takes beside its words, and gets what it gives before its answer.
pub async fn execute(app: &Arc<App>, command: Command, peer: &mut dyn Peer) -> Result<Answer, ControlError> {
    match command {
        Command::AccountCreate { handle, email, password, allow_reserved } => {
            create_account(app, handle, email, &password, allow_reserved).await.map(Answer::AccountCreated)
        }
        Command::AccountList { cursor, limit } => {
            let page = app.accounts.list(cursor.as_deref(), i64::from(limit.min(LIST_ITEMS_MAX))).await?;
            Ok(Answer::Accounts(AccountPage {
                accounts: page.accounts.iter().map(details).collect(),
                cursor: page.cursor,
            }))
        }
        Command::AccountShow { account } => match app.accounts.find(&account).await? {
            Some(account) => show(app, &account).await.map(Answer::Account),
            None => Err(refusal("NotFound", format!("there is no account {account}"))),
        },
        Command::AccountRotateKey { account } => match app.accounts.find(&account).await? {
            Some(account) => rotate_key(app, &account).await.map(Answer::KeyRotated),
            None => Err(refusal("NotFound", format!("there is no account {account}"))),
        },
        Command::AccountAddRecoveryKey { account, key } => match app.accounts.find(&account).await? {
            Some(account) => add_recovery_key(app, &account, &key).await.map(Answer::RecoveryKeyAdded),
            None => Err(refusal("NotFound", format!("there is no account {account}"))),
        },
        Command::InviteCreate { uses, count, for_account } => {
            create_invites(app, uses, count, for_account).await.map(Answer::InvitesCreated)
        }
        Command::Administer { action } => administration::administer(app, action).await,
        Command::FirehoseStatus {} => Ok(Answer::Firehose(firehose::status(app).await?)),
        Command::FirehoseRaise { number } => firehose::raise(app, number).await.map(Answer::SequenceRaised),
        Command::MailStatus {} => Ok(Answer::Mail(mail::status(app).await?)),
        Command::MailTest { to } => mail::test(app, &to).await.map(Answer::MailTested),
        Command::Status {} => Ok(Answer::Status(status::status(app).await)),
        Command::RepoVerify { account, blobs, events } => {
            repos::verify(app, account.as_deref(), (blobs, events), peer).await.map(Answer::ReposVerified)
        }
        Command::RepoExport { account } => repos::export(app, &account, peer).await.map(Answer::RepoExported),
        Command::RepoImport { account, file_bytes } => {
            repos::import(app, &account, file_bytes, peer).await.map(Answer::RepoImported)
        }
        Command::InviteList { cursor, limit } => {
            let limit = i64::from(limit.clamp(1, LIST_ITEMS_MAX));
            let page = app.invites.list(cursor.as_deref(), limit).await;
            let (invites, cursor) = page.map_err(|error| list_refusal(&error))?;
            Ok(Answer::Invites(InviteList { invites: invites.into_iter().map(invite_details).collect(), cursor }))
        }
    }
}

async fn rotate_key(app: &Arc<App>, account: &Account) -> Result<KeyRotated, ControlError> {
    let by = By { actor: Actor::CommandLine, method: "account rotate-key" };
    let rotated = identities::rotate_signing_key(app, &by, &account.did).await;
    let signing_key = rotated.map_err(|error| refusal("KeyNotRotated", error.to_string()))?;
    Ok(KeyRotated {
        did: account.did.to_string(),
        handle: account.handle.to_string(),
        signing_key: signing_key.to_string(),
    })
}

async fn add_recovery_key(app: &Arc<App>, account: &Account, key: &str) -> Result<RecoveryKeyAdded, ControlError> {
    let key = DidKey::parse(key.trim());
    let key = key.map_err(|error| refusal("InvalidRequest", format!("the key is not one for rotation: {error}")))?;
    let by = By { actor: Actor::CommandLine, method: "account add-recovery-key" };
    let added = identities::add_recovery_key(app, &by, &account.did, &key).await;
    let keys = added.map_err(|error| refusal("KeyNotAdded", error.to_string()))?;
    Ok(RecoveryKeyAdded {
        did: account.did.to_string(),
        handle: account.handle.to_string(),
        rotation_keys: keys.iter().map(ToString::to_string).collect(),
    })
}

/// Tells one account, with what the operator should know of it.
async fn show(app: &App, account: &Account) -> Result<AccountDetails, ControlError> {
    let warnings = if account.is_queued {
        vec!["The account waits in the sign-up queue: allod queue admit, or allod queue refuse".to_owned()]
    } else {
        match published::advice(app, account).await {
            Ok(advice) => advice,
            Err(error) => vec![format!("Whether its DID document is right can't be told: {error}")],
        }
    };
    Ok(AccountDetails { warnings, ..details(account) })
}

async fn create_account(
    app: &Arc<App>,
    handle: String,
    email: Option<String>,
    password: &Password,
    allow_reserved: bool,
) -> Result<AccountCreated, ControlError> {
    let request = SignUpRequest {
        handle,
        email,
        password: Some(Secret::new(password.expose().to_owned())),
        by_operator: true,
        reserved_allowed: allow_reserved,
        ..SignUpRequest::default()
    };
    let handle = request.handle.clone();
    let is_reserved = app.handles.admit(&handle) == Err(HandleError::Reserved);
    let signed_up = sign_up(app, request).await.map_err(|error| {
        if matches!(error, SignUpError::Handle(HandleError::Reserved)) {
            let message = format!("{handle} is a reserved handle; use --allow-reserved to create it");
            return refusal("HandleNotAvailable", message);
        }
        sign_up_refusal(&error)
    })?;
    let account = signed_up.account;
    Ok(AccountCreated { did: account.did.to_string(), handle: account.handle.to_string(), is_reserved })
}

async fn create_invites(
    app: &App,
    uses: u32,
    count: u32,
    for_account: Option<String>,
) -> Result<InvitesCreated, ControlError> {
    if !(1..=INVITES_AT_ONCE_MAX).contains(&count) {
        return Err(refusal("InvalidRequest", format!("count must be from 1 to {INVITES_AT_ONCE_MAX}")));
    }
    let owner = match for_account {
        Some(did) => Did::parse(&did).map_err(|error| refusal("InvalidRequest", error.to_string()))?.to_string(),
        None => invites::ADMIN.to_owned(),
    };
    match app.invites.create(i64::from(count), i64::from(uses), &[owner]).await {
        Ok(codes) => Ok(InvitesCreated { codes: codes.into_iter().map(|invite| invite.code).collect() }),
        Err(error @ (CreateInvitesError::UseCount | CreateInvitesError::CodeCount)) => {
            Err(refusal("InvalidRequest", error.to_string()))
        }
        Err(error @ CreateInvitesError::Store(_)) => Err(failure(&error)),
    }
}

pub(super) fn details(account: &Account) -> AccountDetails {
    AccountDetails {
        did: account.did.to_string(),
        handle: account.handle.to_string(),
        email: account.email.clone(),
        email_confirmed: account.email_confirmed_at.is_some(),
        status: Status::of(account).name().unwrap_or("active").to_owned(),
        created_at: clock::datetime(clock::from_store(account.created_at)),
        invite_code: account.invite_code.clone(),
        delete_after: account.delete_after.map(|micros| clock::datetime(clock::from_store(micros))),
        warnings: Vec::new(),
    }
}

pub(super) fn invite_details(invite: InviteCode) -> InviteDetails {
    InviteDetails {
        code: invite.code,
        uses: u64::try_from(invite.uses_max).unwrap_or(0),
        uses_left: u64::try_from(invite.uses_left).unwrap_or(0),
        disabled: invite.disabled,
        for_account: invite.for_account,
        created_by: invite.created_by,
        created_at: clock::datetime(clock::from_store(invite.created_at)),
    }
}

pub(super) fn list_refusal(error: &ListError) -> ControlError {
    match error {
        ListError::Sort(_) | ListError::Cursor => refusal("InvalidRequest", error.to_string()),
        ListError::Read(_) => failure(error),
    }
}

pub(super) fn refusal(error: &str, message: String) -> ControlError {
    ControlError { error: error.to_owned(), message }
}

/// The operator sees the cause: it is their machine.
pub(super) fn failure(error: &dyn std::error::Error) -> ControlError {
    tracing::error!(%error, "an administrative command failed");
    refusal("InternalServerError", error.to_string())
}

impl From<ReadError> for ControlError {
    fn from(error: ReadError) -> Self {
        failure(&error)
    }
}

fn sign_up_refusal(error: &SignUpError) -> ControlError {
    let name = match error {
        SignUpError::Handle(HandleError::Reserved) | SignUpError::HandleTaken(_) => "HandleNotAvailable",
        SignUpError::Handle(_) => "InvalidHandle",
        SignUpError::UnsupportedDomain => "UnsupportedDomain",
        SignUpError::PasswordMissing | SignUpError::PasswordTooShort(_) | SignUpError::PasswordTooLong(_) => {
            "InvalidPassword"
        }
        SignUpError::InviteMissing | SignUpError::InviteUnusable => "InvalidInviteCode",
        SignUpError::UnresolvableDid(_) => "UnresolvableDid",
        SignUpError::IncompatibleDidDoc(_) => "IncompatibleDidDoc",
        SignUpError::HandleUnresolved
        | SignUpError::EmailMissing
        | SignUpError::Email(_)
        | SignUpError::EmailTaken(_)
        | SignUpError::Phone(_)
        | SignUpError::Captcha(_)
        | SignUpError::OperationCantWait
        | SignUpError::RecoveryKey
        | SignUpError::RecoveryKeyUnused
        | SignUpError::AuthMissing(_)
        | SignUpError::AuthReplayed
        | SignUpError::AccountExists
        | SignUpError::DirectoryRefused(_) => "InvalidRequest",
        SignUpError::DirectoryUnreachable => "UpstreamFailure",
        SignUpError::Pending | SignUpError::Hash(_) => "NotEnoughResources",
        SignUpError::Read(_) | SignUpError::Commit(_) | SignUpError::Key(_) | SignUpError::Internal(_) => {
            return failure(error);
        }
    };
    refusal(name, error.to_string())
}
