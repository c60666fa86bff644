//! `com.atproto.admin.*`.

pub mod delete_account;
pub mod disable_account_invites;
pub mod disable_invite_codes;
pub mod enable_account_invites;
pub mod get_account_info;
pub mod get_account_infos;
pub mod get_invite_codes;
pub mod get_subject_status;
pub mod search_accounts;
pub mod send_email;
pub mod update_account_email;
pub mod update_account_handle;
pub mod update_account_password;
pub mod update_account_signing_key;
pub mod update_subject_status;

use allod_atproto::{AtIdentifier, AtUri, Datetime, Did, repo::RecordPath};
use allod_base::clock;
use allod_lexicon::com_atproto::{
    admin::defs::AccountView,
    server::defs::{InviteCode, InviteCodeUse},
};

use crate::{
    domain::{administration::accounts::Report, invites::Listed, moderation::Subject},
    xrpc::XrpcError,
};

/// An account as moderators see it.
fn view(report: Report) -> AccountView {
    let Report { account, invited_by, invites } = report;
    AccountView {
        did: account.did,
        handle: account.handle,
        email: account.email,
        related_records: None,
        indexed_at: datetime(account.created_at),
        invited_by: invited_by.map(invite_view),
        invites: Some(invites.into_iter().map(invite_view).collect()),
        invites_disabled: Some(account.invites_disabled),
        email_confirmed_at: account.email_confirmed_at.map(datetime),
        invite_note: account.invite_note,
        deactivated_at: account.deactivated_at.map(datetime),
        threat_signatures: None,
    }
}

/// An invite code, with who used it.
pub(super) fn invite_view(listed: Listed) -> InviteCode {
    let Listed { invite, uses } = listed;
    InviteCode {
        code: invite.code,
        available: invite.uses_max,
        disabled: invite.disabled,
        for_account: invite.for_account,
        created_by: invite.created_by,
        created_at: datetime(invite.created_at),
        uses: uses
            .into_iter()
            .filter_map(|used| {
                Some(InviteCodeUse { used_by: Did::parse(&used.used_by).ok()?, used_at: datetime(used.used_at) })
            })
            .collect(),
    }
}

/// The record that a URI names.
fn record_subject(uri: &AtUri) -> Result<Subject, XrpcError> {
    match (uri.authority(), uri.collection(), uri.record_key()) {
        (AtIdentifier::Did(did), Some(collection), Some(key)) => {
            Ok(Subject::Record(did, RecordPath::new(&collection, &key)))
        }
        _ => Err(XrpcError::invalid_request("The URI is not that of a record, at://DID/COLLECTION/RKEY")),
    }
}

fn datetime(micros: i64) -> Datetime {
    Datetime::from_unix_micros(clock::from_store(micros))
}
