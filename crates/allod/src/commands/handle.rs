//! `allod handle`: handles that are held for the account that had them, or reserved.

use allod_server::control::{Administration, Answer, Command, HeldHandlePage};

use super::{Failure, account::unexpected, administer::administer, takedown::done};
use crate::{
    cli::{Handle, Page},
    output,
};

/// Carries out the command.
pub(super) fn run(command: Handle) -> Result<(), Failure> {
    match command {
        Handle::List { page: Page { limit, cursor }, target } => {
            let action = Administration::HandleList { cursor, limit };
            let answer = administer(&target, &Command::Administer { action })?;
            let Answer::HeldHandles(page) = answer else { return Err(unexpected()) };
            show(&page, target.json);
            Ok(())
        }
        Handle::Release { handle, target } => done(&target, Administration::HandleRelease { handle }, "released"),
    }
}

fn show(page: &HeldHandlePage, json: bool) {
    if json {
        return output::json(page);
    }
    let rows: Vec<[String; 3]> = page
        .handles
        .iter()
        .map(|held| {
            let until = match (&held.did, &held.until) {
                (_, Some(until)) => until.clone(),
                (Some(_), None) => "account deletion".to_owned(),
                (None, None) => "released".to_owned(),
            };
            [held.handle.clone(), held.did.clone().unwrap_or_else(|| "(reserved)".to_owned()), until]
        })
        .collect();
    output::text(output::table(["HANDLE", "FOR", "UNTIL"], &rows));
    output::more(page.cursor.as_deref());
}
