//! Looking again and again, slowly, whether the DIDs of accounts here still say what they should.

use std::sync::Arc;

use allod_store::{ReadError, tables::accounts as stored};
use parking_lot::Mutex;

use super::published::{self, PublishedError};
use crate::{app::App, domain::account_status::Status};

/// How long it rests between passes, in seconds.
pub const PASS_EVERY_SECS: u64 = 15 * 60;
/// How many accounts one pass looks at: some 10,000 a day.
pub const CHECKED_PER_PASS: i64 = 100;

/// Where the round is. A restart begins a new one.
#[derive(Debug, Default)]
pub struct Round {
    cursor: Mutex<Option<(i64, String)>>,
}

/// Looks at the next few accounts, and warns of the active ones whose DID does not fit; tells how many those are.
pub async fn pass(app: &Arc<App>) -> Result<usize, ReadError> {
    let cursor = app.identity_round.cursor.lock().clone();
    let after = cursor.as_ref().map(|(time, did)| (*time, did.as_str()));
    let page = stored::page(&*app.db, after, CHECKED_PER_PASS).await?;
    if page.is_empty() {
        *app.identity_round.cursor.lock() = None;
    }
    let mut misfitting = 0;
    let advance = |account: &stored::Account| {
        *app.identity_round.cursor.lock() = Some((account.created_at, account.did.to_string()));
    };
    for account in &page {
        if !Status::of(account).is_active() {
            advance(account);
            continue;
        }
        match published::misfits(app, account).await {
            Ok(misfits) if misfits.is_empty() => {}
            Ok(misfits) => {
                misfitting += 1;
                let what: Vec<String> = misfits.iter().map(ToString::to_string).collect();
                tracing::warn!(did = %account.did, handle = %account.handle, what = what.join("; "),
                    "an account's DID document does not match the account");
            }
            Err(error @ PublishedError::Unavailable { .. }) if published::is_plc(&account.did) => {
                // A directory that does not answer for one does not answer for the next one either.
                tracing::info!(%error, "the identity recheck stopped: the directory does not answer");
                break;
            }
            Err(error) => tracing::info!(did = %account.did, %error, "an account's DID could not be checked"),
        }
        advance(account);
    }
    Ok(misfitting)
}
