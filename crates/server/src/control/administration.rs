//! What operators and moderators do, as commands.

use std::sync::Arc;

use allod_atproto::{AtIdentifier, AtUri, Cid, did_doc::DidDocument, repo::RecordPath};
use allod_base::{clock, secret::Secret};
use serde::{Deserialize, Serialize};

use super::{
    AccountPage, Answer, ControlError, InviteDetails, LIST_ITEMS_MAX, Password,
    execute::{details, failure, invite_details, list_refusal, refusal},
};
use crate::{
    app::App,
    domain::{
        accounts::deletion::DeleteError,
        administration::{
            self, AdminScope,
            accounts::AdminError,
            did_web::{self, DidWebError, Publish},
            handles::{self, ReleaseError},
            tokens::{self, CreateTokenError},
        },
        audit::{Actor, By, ListError},
        invites,
        moderation::{self, Change, Mark, ModerationError, Subject},
        sign_up::queue::{self, QueueError},
    },
};

/// What is done.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum Administration {
    /// Takes something down, or not any more.
    Takedown {
        /// What.
        subject: TakedownSubject,
        /// Whether it is taken down from now on.
        applied: bool,
        /// The decision.
        reference: Option<String>,
    },
    /// Opens or closes an account's invites.
    AccountInvites {
        /// Its handle, DID or e-mail address.
        account: String,
        /// Whether they are closed.
        disabled: bool,
        /// Why.
        note: Option<String>,
    },
    /// Gives an account another password.
    AccountPassword {
        /// Its handle, DID or e-mail address.
        account: String,
        /// The password.
        password: Password,
    },
    /// Gives an account another e-mail address.
    AccountEmail {
        /// Its handle, DID or e-mail address.
        account: String,
        /// The address.
        email: String,
    },
    /// Shows the DID document of an account on a did:web that was made here, after changing it if that is asked for.
    AccountDidWeb {
        /// Its handle, DID or e-mail address.
        account: String,
        /// What it is to say from now on.
        publish: Option<DidWebPublish>,
    },
    /// Finds accounts by the beginning of their address.
    AccountSearch {
        /// The beginning.
        email: String,
        /// Where the previous page ended.
        cursor: Option<String>,
        /// How many at most.
        limit: u32,
    },
    /// Closes invite codes.
    InviteDisable {
        /// The codes.
        codes: Vec<String>,
        /// The DIDs of accounts whose codes are closed.
        accounts: Vec<String>,
    },
    /// Shows an invite code and who used it, page by page.
    InviteShow {
        /// The code.
        code: String,
        /// Where the previous page ended.
        cursor: Option<String>,
        /// How many uses at most.
        limit: u32,
    },
    /// Deletes an account for good.
    AccountDelete {
        /// Its handle, DID or e-mail address.
        account: String,
        /// Whether its handle is free at once.
        free_handle: bool,
    },
    /// Deactivates an account, or activates it again.
    AccountActive {
        /// Its handle, DID or e-mail address.
        account: String,
        /// Whether it is active from now on.
        active: bool,
    },
    /// Lists handles that are held for the account that had them, or reserved.
    HandleList {
        /// Where the previous page ended.
        cursor: Option<String>,
        /// How many at most.
        limit: u32,
    },
    /// Frees a handle that is held or reserved.
    HandleRelease {
        /// The handle.
        handle: String,
    },
    /// Lists accounts that wait to be let in, oldest first.
    QueueList {
        /// Where the previous page ended.
        cursor: Option<String>,
        /// How many at most.
        limit: u32,
    },
    /// Lets an account in that waits.
    QueueAdmit {
        /// Its handle, DID or e-mail address.
        account: String,
    },
    /// Refuses an account that waits; it goes.
    QueueRefuse {
        /// Its handle, DID or e-mail address.
        account: String,
    },
    /// Makes an administration token.
    TokenCreate {
        /// What it is called.
        name: String,
        /// Whether it opens only what moderators need.
        moderator: bool,
        /// How long it lasts.
        expires_days: Option<u32>,
    },
    /// Lists the administration tokens.
    TokenList {},
    /// Ends an administration token.
    TokenRevoke {
        /// What it is called.
        name: String,
    },
    /// Shows what was done, newest first.
    Audit {
        /// Where the previous page ended.
        cursor: Option<String>,
        /// How many entries at most.
        limit: u32,
    },
}

/// What is taken down.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TakedownSubject {
    /// An account, by its handle, DID or e-mail address.
    Account(String),
    /// A record, by its URI.
    Record(String),
    /// A blob, by its account's handle, DID or e-mail address and its CID.
    Blob(String, String),
}

/// What the document of a did:web is to say.
#[derive(Clone, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum DidWebPublish {
    /// What the account here has.
    Here,
    /// That the identity has moved.
    Elsewhere {
        /// The origin of the server it has moved to.
        pds: String,
        /// The did:key that signs its repository there.
        signing_key: String,
        /// The handle it has there; as it was, without one.
        handle: Option<String>,
    },
}

/// A did:web that was made here.
#[derive(Debug, Serialize, Deserialize)]
pub struct DidWebShown {
    /// The DID.
    pub did: String,
    /// Whether an account here has it.
    pub account: bool,
    /// `here` when the document says what the account here has, `elsewhere` when it names another server, `nothing`
    /// when there is none.
    pub published: String,
    /// The document.
    pub document: Option<serde_json::Value>,
}

/// It was done.
#[derive(Debug, Serialize, Deserialize)]
pub struct Done {
    /// To what.
    pub subject: String,
}

/// An invite code and who used it.
#[derive(Debug, Serialize, Deserialize)]
pub struct InviteShown {
    /// The code.
    #[serde(flatten)]
    pub invite: InviteDetails,
    /// Who used it, oldest first.
    pub used: Vec<InviteUsed>,
    /// Where the next page of uses starts; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// Accounts that wait to be let in.
#[derive(Debug, Serialize, Deserialize)]
pub struct QueuePage {
    /// The accounts, oldest first.
    pub waiting: Vec<QueueDetails>,
    /// Where the next page starts; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One account that waits to be let in.
#[derive(Debug, Serialize, Deserialize)]
pub struct QueueDetails {
    /// Its DID.
    pub did: String,
    /// Its handle.
    pub handle: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Since when, RFC 3339.
    pub since: String,
    /// Whether it moves in with an identity that it has already.
    pub moves_in: bool,
    /// Whether it is being let in, and no longer waits for anything but the did:plc directory.
    pub being_let_in: bool,
    /// Why it could not be let in when that was tried.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_error: Option<String>,
}

/// One use of an invite code.
#[derive(Debug, Serialize, Deserialize)]
pub struct InviteUsed {
    /// The account's DID.
    pub by: String,
    /// When, RFC 3339.
    pub at: String,
}

/// A page of handles that are held or reserved.
#[derive(Debug, Serialize, Deserialize)]
pub struct HeldHandlePage {
    /// In order.
    pub handles: Vec<HeldHandleDetails>,
    /// What asks for the next page; none at the end.
    pub cursor: Option<String>,
}

/// A handle that no account has and nobody else gets.
#[derive(Debug, Serialize, Deserialize)]
pub struct HeldHandleDetails {
    /// The handle.
    pub handle: String,
    /// Whom it is held for; none for one that is reserved.
    pub did: Option<String>,
    /// Until when, RFC 3339; none for one that is reserved, or held as long as its account exists.
    pub until: Option<String>,
}

/// A token that was just made.
#[derive(Debug, Serialize, Deserialize)]
pub struct AdminTokenCreated {
    /// What it is called.
    pub name: String,
    /// The token, shown this once.
    pub token: Password,
    /// When it ends, RFC 3339.
    pub expires_at: Option<String>,
}

/// The administration tokens.
#[derive(Debug, Serialize, Deserialize)]
pub struct AdminTokenList {
    /// In the order of their names.
    pub tokens: Vec<AdminTokenDetails>,
}

/// One administration token.
#[derive(Debug, Serialize, Deserialize)]
pub struct AdminTokenDetails {
    /// What it is called.
    pub name: String,
    /// `admin` or `moderator`.
    pub scope: String,
    /// When it was made, RFC 3339.
    pub created_at: String,
    /// When it ends, RFC 3339.
    pub expires_at: Option<String>,
}

/// What was done.
#[derive(Debug, Serialize, Deserialize)]
pub struct AuditLog {
    /// Newest first.
    pub entries: Vec<AuditLine>,
    /// Where the next page starts; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One thing that was done or refused.
#[derive(Debug, Serialize, Deserialize)]
pub struct AuditLine {
    /// When, RFC 3339.
    pub at: String,
    /// Who.
    pub actor: String,
    /// By which method or command.
    pub method: String,
    /// To what.
    pub subject: String,
    /// What came of it.
    pub outcome: String,
}

fn by(method: &'static str) -> By {
    By { actor: Actor::CommandLine, method }
}

/// Carries it out.
pub(super) async fn administer(app: &Arc<App>, action: Administration) -> Result<Answer, ControlError> {
    match action {
        Administration::Takedown { subject, applied, reference } => {
            let subject = found_subject(app, subject).await?;
            let change = Change { takedown: Some(Mark { applied, reference }), deactivated: None };
            moderation::change(app, &by("takedown"), &subject, change).await?;
            Ok(done(subject.to_string()))
        }
        Administration::AccountInvites { account, disabled, note } => {
            let did = found(app, &account).await?.did;
            let by = by(if disabled { "account disable-invites" } else { "account enable-invites" });
            administration::accounts::set_invites(app, &by, &did, disabled, note).await?;
            Ok(done(did.to_string()))
        }
        Administration::AccountPassword { account, password } => {
            let did = found(app, &account).await?.did;
            let password = Secret::new(password.expose().to_owned());
            administration::accounts::set_password(app, &by("account set-password"), &did, password).await?;
            Ok(done(did.to_string()))
        }
        Administration::AccountEmail { account, email } => {
            let did = found(app, &account).await?.did;
            let account = AtIdentifier::Did(did.clone());
            administration::accounts::set_email(app, &by("account set-email"), &account, &email).await?;
            Ok(done(did.to_string()))
        }
        Administration::AccountDelete { account, free_handle } => {
            let account = found(app, &account).await?;
            administration::accounts::delete(app, &by("account delete"), &account.did).await?;
            if free_handle {
                match handles::release(app, &by("account delete"), account.handle.as_str()).await {
                    // Not held: it is under a domain of the owner's, or nothing is held here.
                    Ok(_) | Err(ReleaseError::NotHeld(_) | ReleaseError::Handle(_)) => {}
                    Err(error @ ReleaseError::Commit(_)) => return Err(failure(&error)),
                }
            }
            Ok(done(account.did.to_string()))
        }
        Administration::AccountActive { account, active } => set_active(app, &account, active).await,
        Administration::AccountDidWeb { account, publish } => show_did_web(app, &account, publish).await,
        Administration::AccountSearch { email, cursor, limit } => {
            let found =
                administration::accounts::search(app, Some(&email), cursor.as_deref(), i64::from(limit)).await?;
            let accounts = found.accounts.iter().map(|report| details(&report.account)).collect();
            Ok(Answer::Accounts(AccountPage { accounts, cursor: found.cursor }))
        }
        Administration::InviteDisable { codes, accounts } => {
            let subject = codes.iter().chain(&accounts).cloned().collect::<Vec<_>>().join(" ");
            app.invites.disable(&by("invite disable"), &codes, &accounts).await?;
            Ok(done(subject))
        }
        Administration::InviteShow { code, cursor, limit } => {
            let shown = app.invites.show(&code, cursor.as_deref(), i64::from(limit)).await;
            let shown = shown.map_err(|error| list_refusal(&error))?;
            let shown = shown.ok_or_else(|| refusal("NotFound", format!("there is no invite code {code}")))?;
            let used = shown.uses.into_iter().map(|used| InviteUsed { by: used.used_by, at: at(used.used_at) });
            let used = used.collect();
            Ok(Answer::InviteShown(InviteShown { invite: invite_details(shown.invite), used, cursor: shown.cursor }))
        }
        Administration::HandleList { cursor, limit } => {
            let page = handles::held(app, cursor.as_deref(), i64::from(limit.clamp(1, LIST_ITEMS_MAX))).await?;
            let held = page.handles.into_iter().map(|held| HeldHandleDetails {
                handle: held.handle,
                did: held.did,
                until: held.until.map(at),
            });
            Ok(Answer::HeldHandles(HeldHandlePage { handles: held.collect(), cursor: page.cursor }))
        }
        Administration::HandleRelease { handle } => match handles::release(app, &by("handle release"), &handle).await {
            Ok(handle) => Ok(done(handle.to_string())),
            Err(error @ ReleaseError::Handle(_)) => Err(refusal("InvalidHandle", error.to_string())),
            Err(error @ ReleaseError::NotHeld(_)) => Err(refusal("NotFound", error.to_string())),
            Err(error @ ReleaseError::Commit(_)) => Err(failure(&error)),
        },
        Administration::QueueList { cursor, limit } => {
            let limit = i64::from(limit.clamp(1, LIST_ITEMS_MAX));
            let (rows, cursor) = queue::list(app, cursor.as_deref(), limit).await?;
            let waiting = rows.into_iter().map(|(waiting, account)| QueueDetails {
                did: account.did.to_string(),
                handle: account.handle.to_string(),
                email: account.email,
                since: at(waiting.since),
                moves_in: waiting.moves_in,
                being_let_in: waiting.let_in_at.is_some(),
                last_error: waiting.last_error,
            });
            Ok(Answer::Queue(QueuePage { waiting: waiting.collect(), cursor }))
        }
        Administration::QueueAdmit { account } => {
            let account = found(app, &account).await?;
            queue::let_in(app, &by("queue admit"), &account.did).await?;
            Ok(done(account.handle.to_string()))
        }
        Administration::QueueRefuse { account } => {
            let account = found(app, &account).await?;
            queue::refuse(app, &by("queue refuse"), &account.did).await?;
            Ok(done(account.handle.to_string()))
        }
        Administration::TokenCreate { .. } | Administration::TokenList {} | Administration::TokenRevoke { .. } => {
            tokens_of(app, action).await
        }
        Administration::Audit { cursor, limit } => {
            let page = app.audit.page(cursor.as_deref(), i64::from(limit.clamp(1, LIST_ITEMS_MAX))).await;
            let (entries, cursor) = page.map_err(|error| match error {
                ListError::Cursor => refusal("InvalidRequest", error.to_string()),
                ListError::Read(error) => failure(&error),
            })?;
            let entries = entries.into_iter().map(|entry| AuditLine {
                at: at(entry.at),
                actor: entry.actor,
                method: entry.method,
                subject: entry.subject,
                outcome: entry.outcome,
            });
            Ok(Answer::Audit(AuditLog { entries: entries.collect(), cursor }))
        }
    }
}

async fn set_active(app: &Arc<App>, account: &str, active: bool) -> Result<Answer, ControlError> {
    let account = found(app, account).await?;
    let did = account.did;
    if active && account.takedown_ref.is_some() {
        let message =
            format!("the account is taken down; undo the takedown first: allod takedown account {did} --undo");
        return Err(refusal("AccountTakedown", message));
    }
    let by = by(if active { "account activate" } else { "account deactivate" });
    let mark = Mark { applied: !active, reference: None };
    let change = Change { takedown: None, deactivated: Some(mark) };
    moderation::change(app, &by, &Subject::Account(did.clone()), change).await?;
    Ok(done(did.to_string()))
}

async fn tokens_of(app: &App, action: Administration) -> Result<Answer, ControlError> {
    match action {
        Administration::TokenCreate { name, moderator, expires_days } => {
            let scope = if moderator { AdminScope::Moderator } else { AdminScope::Admin };
            let (token, row) = tokens::create(app, &by("admin-token create"), &name, scope, expires_days).await?;
            let token = Password::new(token.expose().clone());
            Ok(Answer::AdminTokenCreated(AdminTokenCreated {
                name: row.name,
                token,
                expires_at: row.expires_at.map(at),
            }))
        }
        Administration::TokenRevoke { name } => match tokens::revoke(app, &by("admin-token revoke"), &name).await {
            Ok(true) => Ok(done(name)),
            Ok(false) => Err(refusal("NotFound", format!("there is no token {name}"))),
            Err(error) => Err(failure(&error)),
        },
        Administration::TokenList {}
        | Administration::Takedown { .. }
        | Administration::AccountInvites { .. }
        | Administration::AccountPassword { .. }
        | Administration::AccountEmail { .. }
        | Administration::AccountDelete { .. }
        | Administration::AccountActive { .. }
        | Administration::AccountDidWeb { .. }
        | Administration::AccountSearch { .. }
        | Administration::InviteDisable { .. }
        | Administration::InviteShow { .. }
        | Administration::HandleList { .. }
        | Administration::HandleRelease { .. }
        | Administration::QueueList { .. }
        | Administration::QueueAdmit { .. }
        | Administration::QueueRefuse { .. }
        | Administration::Audit { .. } => {
            let tokens = tokens::list(app).await?.into_iter().map(|token| AdminTokenDetails {
                name: token.name,
                scope: match token.scope {
                    AdminScope::Admin => "admin".to_owned(),
                    AdminScope::Moderator => "moderator".to_owned(),
                },
                created_at: at(token.created_at),
                expires_at: token.expires_at.map(at),
            });
            Ok(Answer::AdminTokens(AdminTokenList { tokens: tokens.collect() }))
        }
    }
}

async fn show_did_web(app: &Arc<App>, account: &str, publish: Option<DidWebPublish>) -> Result<Answer, ControlError> {
    let publish = publish.map(|publish| match publish {
        DidWebPublish::Here => Publish::Here,
        DidWebPublish::Elsewhere { pds, signing_key, handle } => {
            Publish::Elsewhere { endpoint: pds, signing_key, handle }
        }
    });
    let shown = match publish {
        Some(publish) => did_web::publish(app, &by("account did-web"), account, publish).await?,
        None => did_web::show(app, account).await?,
    };
    let published = match &shown.document {
        None => "nothing",
        Some(_) if shown.is_elsewhere => "elsewhere",
        Some(_) => "here",
    };
    Ok(Answer::DidWeb(DidWebShown {
        did: shown.did.to_string(),
        account: shown.has_account,
        published: published.to_owned(),
        document: shown.document.map(DidDocument::into_json),
    }))
}

fn done(subject: String) -> Answer {
    Answer::Done(Done { subject })
}

fn at(micros: i64) -> String {
    clock::datetime(clock::from_store(micros))
}

async fn found(app: &App, account: &str) -> Result<allod_store::tables::accounts::Account, ControlError> {
    let found = app.accounts.find(account).await?;
    found.ok_or_else(|| refusal("NotFound", format!("there is no account {account}")))
}

async fn found_subject(app: &App, subject: TakedownSubject) -> Result<Subject, ControlError> {
    let invalid = |message: String| refusal("InvalidRequest", message);
    match subject {
        TakedownSubject::Account(account) => Ok(Subject::Account(found(app, &account).await?.did)),
        TakedownSubject::Record(uri) => {
            let parsed = AtUri::parse(&uri).map_err(|error| invalid(error.to_string()))?;
            let (Some(collection), Some(key)) = (parsed.collection(), parsed.record_key()) else {
                return Err(invalid(format!("{uri} is not the URI of a record")));
            };
            let did = found(app, parsed.authority().as_ref()).await?.did;
            Ok(Subject::Record(did, RecordPath::new(&collection, &key)))
        }
        TakedownSubject::Blob(account, cid) => {
            let cid = Cid::parse(&cid).map_err(|error| invalid(error.to_string()))?;
            // The account may be gone, and its bytes still known.
            let did = match AtIdentifier::parse(&account) {
                Ok(AtIdentifier::Did(did)) => did,
                Ok(AtIdentifier::Handle(_)) | Err(_) => found(app, &account).await?.did,
            };
            Ok(Subject::Blob(did, cid))
        }
    }
}

impl From<ModerationError> for ControlError {
    fn from(error: ModerationError) -> Self {
        let name = match error {
            ModerationError::NotFound => "NotFound",
            ModerationError::ActivateAndTakedown
            | ModerationError::NotAnAccount
            | ModerationError::Reference
            | ModerationError::TakenDown
            | ModerationError::Waits => "InvalidRequest",
            ModerationError::Contended => "NotEnoughResources",
            ModerationError::Announce(_) | ModerationError::Read(_) | ModerationError::Commit(_) => {
                return failure(&error);
            }
        };
        refusal(name, error.to_string())
    }
}

impl From<QueueError> for ControlError {
    fn from(error: QueueError) -> Self {
        let name = match error {
            QueueError::NotWaiting => "NotFound",
            QueueError::TakenDown | QueueError::Refused(_) => "InvalidRequest",
            QueueError::UnderWay | QueueError::Delete(DeleteError::BeingLetIn | DeleteError::Busy(_)) => {
                "NotEnoughResources"
            }
            QueueError::Pending | QueueError::LogUnreadable => "UpstreamFailure",
            QueueError::Announce(_)
            | QueueError::Delete(_)
            | QueueError::Read(_)
            | QueueError::Commit(_)
            | QueueError::Internal(_) => return failure(&error),
        };
        refusal(name, error.to_string())
    }
}

impl From<DeleteError> for ControlError {
    fn from(error: DeleteError) -> Self {
        let name = match error {
            DeleteError::NotFound => "NotFound",
            DeleteError::BeingLetIn | DeleteError::Busy(_) | DeleteError::Hash(_) => "NotEnoughResources",
            DeleteError::SignInTooOld
            | DeleteError::Credentials
            | DeleteError::PasswordTooLong
            | DeleteError::Code(_) => "InvalidRequest",
            DeleteError::Read(_) | DeleteError::Commit(_) => return failure(&error),
        };
        refusal(name, error.to_string())
    }
}

impl From<AdminError> for ControlError {
    fn from(error: AdminError) -> Self {
        let name = match error {
            AdminError::NotFound | AdminError::NoRecipient => "NotFound",
            AdminError::Note
            | AdminError::NoAddress
            | AdminError::Subject
            | AdminError::Email(_)
            | AdminError::Password(_) => "InvalidRequest",
            AdminError::Read(_) | AdminError::Commit(_) => return failure(&error),
        };
        refusal(name, error.to_string())
    }
}

impl From<DidWebError> for ControlError {
    fn from(error: DidWebError) -> Self {
        let name = match error {
            DidWebError::NotFound(_) => "NotFound",
            DidWebError::Endpoint | DidWebError::ThisServer | DidWebError::SigningKey | DidWebError::Handle(_) => {
                "InvalidRequest"
            }
            DidWebError::UnderWay => "NotEnoughResources",
            DidWebError::Read(_) | DidWebError::Commit(_) => return failure(&error),
        };
        refusal(name, error.to_string())
    }
}

impl From<invites::DisableError> for ControlError {
    fn from(error: invites::DisableError) -> Self {
        match error {
            invites::DisableError::Admin | invites::DisableError::TooMany => {
                refusal("InvalidRequest", error.to_string())
            }
            invites::DisableError::Commit(error) => failure(&error),
        }
    }
}

impl From<CreateTokenError> for ControlError {
    fn from(error: CreateTokenError) -> Self {
        match error {
            CreateTokenError::Name
            | CreateTokenError::Days
            | CreateTokenError::NameTaken
            | CreateTokenError::TooMany => refusal("InvalidRequest", error.to_string()),
            CreateTokenError::Commit(error) => failure(&error),
        }
    }
}
