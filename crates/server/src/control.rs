//! Administrative commands (`allod account`, `allod firehose`, `allod invite`): what they are, and the socket a running server takes
//! them on.
//!
//! The socket is a file in the data directory that only its owner can open; whoever can open it may do everything the
//! commands do. One connection carries one line of JSON with a [`Command`], the bytes that the command takes if it takes
//! any, and lines with [`Reply`]s back, of which the last one ends it.
//! The same [`execute`] serves a command that found no running server and opened the store itself.

mod administration;
mod execute;
mod firehose;
mod mail;
mod repos;
mod socket;
mod status;

use std::{fmt, io};

use bytes::Bytes;
use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop};

pub use administration::{
    AdminTokenCreated, AdminTokenDetails, AdminTokenList, Administration, AuditLine, AuditLog, DidWebPublish,
    DidWebShown, Done, HeldHandleDetails, HeldHandlePage, InviteShown, InviteUsed, QueueDetails, QueuePage,
    TakedownSubject,
};
pub use execute::execute;
pub use firehose::{AheadStatus, FirehoseStatus, RelayStatus, SequenceRaised, SubscriberStatus};
pub use mail::{MailReport, MailTested};
pub use repos::{EventsReport, RepoExported, RepoImported, RepoReport, ReposVerified};
pub use socket::{CallError, ListenError, Listener, call};
pub use status::{DamagedData, DamagedPlace, ScrubStatus, ServerStatus, StatusProblem};

/// The socket's file name in the data directory.
pub const SOCKET_FILE: &str = "control.sock";

/// The longest request line, in bytes.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// The longest answer line, in bytes.
pub const REPLY_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How long the other side may take over sending its line, in seconds.
pub const LINE_SECS_MAX: u64 = 10;

/// How long a command may say nothing before the caller gives up waiting, in seconds.
pub const COMMAND_SECS_MAX: u64 = 60;

/// How long the other side may take over the next piece of a file, or over taking one, in seconds.
pub const PIECE_SECS_MAX: u64 = 300;

/// The largest piece of a file that is taken at once, in bytes.
pub const PIECE_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How much of a file is sent at once, in bytes.
pub const PIECE_BYTES: usize = 64 * 1024;

/// How many commands are carried out at once; further connections wait.
pub const COMMANDS_AT_ONCE_MAX: usize = 4;

/// How many accounts or codes one list holds at most.
pub const LIST_ITEMS_MAX: u32 = 1000;

/// How many invite codes one command makes at most.
pub const INVITES_AT_ONCE_MAX: u32 = 500;

/// What an operator asks for.
#[derive(Clone, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case", deny_unknown_fields)]
pub enum Command {
    /// Creates an account, without an invite code.
    AccountCreate {
        /// The handle as typed.
        handle: String,
        /// The e-mail address as typed.
        email: Option<String>,
        /// The password.
        password: Password,
        /// Whether a reserved handle is taken.
        #[serde(default)]
        allow_reserved: bool,
    },
    /// Lists accounts, oldest first.
    AccountList {
        /// Where the previous page ended.
        cursor: Option<String>,
        /// How many at most.
        limit: u32,
    },
    /// Shows one account.
    AccountShow {
        /// Its handle, DID or e-mail address.
        account: String,
    },
    /// Gives an account another signing key.
    AccountRotateKey {
        /// Its handle, DID or e-mail address.
        account: String,
    },
    /// Puts a key of the owner's first among an account's rotation keys.
    AccountAddRecoveryKey {
        /// Its handle, DID or e-mail address.
        account: String,
        /// The key, a did:key.
        key: String,
    },
    /// Creates invite codes.
    InviteCreate {
        /// How many accounts each makes.
        uses: u32,
        /// How many codes.
        count: u32,
        /// The DID they are given to.
        for_account: Option<String>,
    },
    /// Lists invite codes, newest first.
    InviteList {
        /// Where the previous page ended.
        #[serde(default)]
        cursor: Option<String>,
        /// How many at most.
        limit: u32,
    },
    /// Administers accounts and moderates what they have.
    Administer {
        /// What is done.
        action: Administration,
    },
    /// Tells how the firehose is doing.
    FirehoseStatus {},
    /// Raises the sequence of events.
    FirehoseRaise {
        /// The number that every later event's is larger than; by default a million more than now.
        number: Option<i64>,
    },
    /// Tell how mail is doing.
    MailStatus {},
    /// Send a letter at once.
    MailTest {
        /// Whom to.
        to: String,
    },
    /// Tells how the server is doing.
    Status {},
    /// Checks what is stored of repositories; a report of each comes before the answer.
    RepoVerify {
        /// The account's handle, DID or e-mail address; all without one.
        account: Option<String>,
        /// Whether the bytes of blobs are read and checked too.
        #[serde(default)]
        blobs: bool,
        /// Whether the event log is read and checked too.
        #[serde(default)]
        events: bool,
    },
    /// Gives a repository as a CAR file, which comes before the answer.
    RepoExport {
        /// The account's handle, DID or e-mail address.
        account: String,
    },
    /// Replaces a repository by that of a CAR file, which comes behind the command.
    RepoImport {
        /// The account's handle, DID or e-mail address.
        account: String,
        /// How large the file is.
        file_bytes: u64,
    },
}

/// Something that a command gives before it is done.
#[derive(Debug)]
pub enum Part {
    /// How many records were seen to so far.
    Records(u64),
    /// What was found of one repository.
    Verified(RepoReport),
    /// The next piece of a file.
    Bytes(Bytes),
}

/// The other side of a command that is carried out: takes what it gives, and has the file that it takes.
pub trait Peer: Send {
    /// Takes a part.
    fn part(&mut self, part: Part) -> BoxFuture<'_, io::Result<()>>;

    /// The next piece of the file; nothing at its end, or without one.
    fn input(&mut self) -> BoxFuture<'_, io::Result<Option<Bytes>>>;
}

/// The other side of a command that takes no file, and whose answer alone is wanted.
#[derive(Debug, Clone, Copy)]
pub struct Silent;

impl Peer for Silent {
    fn part(&mut self, _: Part) -> BoxFuture<'_, io::Result<()>> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn input(&mut self) -> BoxFuture<'_, io::Result<Option<Bytes>>> {
        Box::pin(std::future::ready(Ok(None)))
    }
}

/// A password on its way to the server; wiped when dropped.
#[derive(Clone, Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(transparent)]
pub struct Password(String);

impl Password {
    /// Takes a password in.
    pub fn new(password: String) -> Self {
        Self(password)
    }

    /// Shows it to code that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password")
    }
}

/// What a command gives.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The account that was created.
    AccountCreated(AccountCreated),
    /// A page of accounts.
    Accounts(AccountPage),
    /// One account.
    Account(AccountDetails),
    /// The key that an account got.
    KeyRotated(KeyRotated),
    /// The rotation keys that an account has.
    RecoveryKeyAdded(RecoveryKeyAdded),
    /// The codes that were created.
    InvitesCreated(InvitesCreated),
    /// Codes.
    Invites(InviteList),
    /// A did:web that was made here.
    DidWeb(DidWebShown),
    /// It was done.
    Done(Done),
    /// An invite code and who used it.
    InviteShown(InviteShown),
    /// Handles that are held or reserved.
    HeldHandles(HeldHandlePage),
    /// Accounts that wait to be let in.
    Queue(QueuePage),
    /// The administration token that was made.
    AdminTokenCreated(AdminTokenCreated),
    /// The administration tokens.
    AdminTokens(AdminTokenList),
    /// What was done by whom.
    Audit(AuditLog),
    /// How the firehose is doing.
    Firehose(FirehoseStatus),
    /// The sequence of events was raised.
    SequenceRaised(SequenceRaised),
    /// How the server is doing.
    Status(ServerStatus),
    /// How mail is doing.
    Mail(MailReport),
    /// A letter got through.
    MailTested(MailTested),
    /// What a check came to.
    ReposVerified(ReposVerified),
    /// The repository that was written out.
    RepoExported(RepoExported),
    /// The repository that was read in.
    RepoImported(RepoImported),
}

/// An account's new signing key.
#[derive(Debug, Serialize, Deserialize)]
pub struct KeyRotated {
    /// Its DID.
    pub did: String,
    /// Its handle.
    pub handle: String,
    /// The public key that its DID document names from now on.
    pub signing_key: String,
}

/// An account's rotation keys, after one was added.
#[derive(Debug, Serialize, Deserialize)]
pub struct RecoveryKeyAdded {
    /// Its DID.
    pub did: String,
    /// Its handle.
    pub handle: String,
    /// All its rotation keys; an earlier one can undo what a later one signs.
    pub rotation_keys: Vec<String>,
}

/// An account that was just created.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountCreated {
    /// Its DID.
    pub did: String,
    /// Its handle, normalised.
    pub handle: String,
    /// Whether that is a reserved handle, which nobody gets by signing up.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub is_reserved: bool,
}

/// A page of accounts.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountPage {
    /// The accounts, oldest first.
    pub accounts: Vec<AccountDetails>,
    /// Where the next page starts; none on the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One account.
#[derive(Debug, Serialize, Deserialize)]
pub struct AccountDetails {
    /// Its DID.
    pub did: String,
    /// Its handle.
    pub handle: String,
    /// Its e-mail address.
    pub email: Option<String>,
    /// Whether that address was confirmed.
    pub email_confirmed: bool,
    /// `active`, `deactivated` or `takendown`.
    pub status: String,
    /// When it was created, RFC 3339.
    pub created_at: String,
    /// The invite code it was made with.
    pub invite_code: Option<String>,
    /// When a deactivated account is removed, RFC 3339.
    pub delete_after: Option<String>,
    /// What the operator should know of it; told of a single account alone.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<String>,
}

/// Invite codes that were just created.
#[derive(Debug, Serialize, Deserialize)]
pub struct InvitesCreated {
    /// The codes.
    pub codes: Vec<String>,
}

/// Invite codes.
#[derive(Debug, Serialize, Deserialize)]
pub struct InviteList {
    /// The codes, newest first.
    pub invites: Vec<InviteDetails>,
    /// Where the next page starts; none on the last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<String>,
}

/// One invite code.
#[derive(Debug, Serialize, Deserialize)]
pub struct InviteDetails {
    /// The code.
    pub code: String,
    /// How many accounts it makes in all.
    pub uses: u64,
    /// How many it can still make.
    pub uses_left: u64,
    /// Whether it was disabled.
    pub disabled: bool,
    /// Whom it was given to: a DID or `admin`.
    pub for_account: String,
    /// Who made it: a DID or `admin`.
    pub created_by: String,
    /// When, RFC 3339.
    pub created_at: String,
}

/// Why a command was not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct ControlError {
    /// A name for scripts: the method's declared error where one fits, else `InvalidRequest`, `NotFound` or
    /// `InternalServerError`.
    pub error: String,
    /// What is wrong, for the operator.
    pub message: String,
}

/// A line of the server's.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// How many records were seen to so far.
    Records(u64),
    /// What was found of one repository.
    Verified(RepoReport),
    /// So many bytes of a file follow.
    Bytes(u64),
    /// It was done.
    Ok(Answer),
    /// It was not.
    Err(ControlError),
}
