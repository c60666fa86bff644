//! What a transaction's assertion can fail on.

use std::fmt;

/// Names the assertion that failed, and so what a transaction conflicts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConflictKey {
    /// A handle already belongs to a DID.
    HandleTaken,
    /// A handle is not held, or is an existing account's.
    HandleNotHeld,
    /// An e-mail address already belongs to a DID.
    EmailTaken,
    /// The DID already has an account here.
    AccountExists,
    /// The DID has no account here.
    AccountMissing,
    /// The account changed since it was read, or is gone.
    AccountChanged,
    /// The account is deactivated or taken down.
    AccountInactive,
    /// The account is neither deactivated nor taken down.
    AccountActive,
    /// The account is in the sign-up queue.
    AccountQueued,
    /// The account is being admitted from the sign-up queue.
    AccountBeingAdmitted,
    /// The account's place in the sign-up queue is not the one expected.
    QueuePlaceMoved,
    /// The sign-up is not in the expected state, or exists already.
    SignUpMoved,
    /// The DID's identity change is gone, or another one is under way.
    IdentityChangeMoved,
    /// The did:web was made here before.
    DidWebUsed,
    /// The did:web was not made here, or another host serves its document now.
    DidWebMoved,
    /// The reserved signing key is gone, or another one is reserved for the DID.
    ReservedKeyMoved,
    /// The account has no signing key.
    SigningKeyGone,
    /// The DID's PLC operation log changed since it was read.
    PlcLogMoved,
    /// The repository's head changed since it was read.
    HeadMoved,
    /// A record is not what the repository's tree says.
    RecordDiffers,
    /// The record does not exist.
    RecordGone,
    /// The record set was deleted, or adopted by a repository.
    RecordSetGone,
    /// A blob that a record refers to is not stored, or was taken down.
    BlobGone,
    /// The blob's row changed since it was read.
    BlobMoved,
    /// The blob's bytes are taken down.
    BlobDenied,
    /// The account would store more bytes of blobs than it may.
    BlobQuotaExceeded,
    /// The invite code does not exist, is disabled or used up, or its owner may not invite.
    InviteUnusable,
    /// The number of the owner's invite codes changed since it was read.
    InvitesChanged,
    /// The refresh token was replaced or revoked since it was read.
    SessionMoved,
    /// The account has an app password of this name.
    AppPasswordNameTaken,
    /// The app password does not exist.
    AppPasswordGone,
    /// The account has as many app passwords as it may.
    TooManyAppPasswords,
    /// An admin token of this name exists.
    AdminTokenExists,
    /// No admin token of this name exists.
    AdminTokenGone,
    /// As many admin tokens exist as may.
    TooManyAdminTokens,
    /// The one-use token was used before.
    TokenUsed,
    /// The mailed code was used, replaced, or tried too often.
    EmailCodeGone,
    /// The phone code was used for another account, or expired.
    PhoneCodeUsed,
    /// The phone number has as many accounts as it may.
    PhoneNumberSpent,
    /// The recipient got as many e-mails as it may for now, or the outbox is full.
    TooManyEmails,
    /// The e-mail is not in the outbox.
    QueuedEmailGone,
    /// An assertion of a test, over rows that only it has.
    Test(&'static str),
}

impl ConflictKey {
    /// The key as logs show it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::HandleTaken => "handle taken",
            Self::HandleNotHeld => "handle not held",
            Self::EmailTaken => "email taken",
            Self::AccountExists => "account exists",
            Self::AccountMissing => "account missing",
            Self::AccountChanged => "account changed",
            Self::AccountInactive => "account inactive",
            Self::AccountActive => "account active",
            Self::AccountQueued => "account queued",
            Self::AccountBeingAdmitted => "account being admitted",
            Self::QueuePlaceMoved => "queue place moved",
            Self::SignUpMoved => "sign-up moved",
            Self::IdentityChangeMoved => "identity change moved",
            Self::DidWebUsed => "did:web used before",
            Self::DidWebMoved => "did:web moved",
            Self::ReservedKeyMoved => "reserved key moved",
            Self::SigningKeyGone => "signing key gone",
            Self::PlcLogMoved => "plc log moved",
            Self::HeadMoved => "head moved",
            Self::RecordDiffers => "record differs from the tree",
            Self::RecordGone => "record gone",
            Self::RecordSetGone => "record set gone",
            Self::BlobGone => "blob gone",
            Self::BlobMoved => "blob moved",
            Self::BlobDenied => "blob denied",
            Self::BlobQuotaExceeded => "blob quota exceeded",
            Self::InviteUnusable => "invite unusable",
            Self::InvitesChanged => "invites changed",
            Self::SessionMoved => "session moved",
            Self::AppPasswordNameTaken => "app password name taken",
            Self::AppPasswordGone => "app password gone",
            Self::TooManyAppPasswords => "too many app passwords",
            Self::AdminTokenExists => "admin token exists",
            Self::AdminTokenGone => "admin token gone",
            Self::TooManyAdminTokens => "too many admin tokens",
            Self::TokenUsed => "token used",
            Self::EmailCodeGone => "email code gone",
            Self::PhoneCodeUsed => "phone code used",
            Self::PhoneNumberSpent => "phone number spent",
            Self::TooManyEmails => "too many emails",
            Self::QueuedEmailGone => "queued email gone",
            Self::Test(name) => name,
        }
    }
}

impl fmt::Display for ConflictKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
