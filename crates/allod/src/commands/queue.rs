//! `allod queue`: lets in, or refuses, who waits in the sign-up queue.

use allod_server::control::{Administration, Answer, Command, Done, QueuePage};

use super::{Failure, account::unexpected, administer::administer};
use crate::{
    cli::{Page, Queue, Target},
    output,
};

/// How many are listed at once.
const PER_PAGE: u32 = 1000;

/// Carries out the command.
pub(super) fn run(command: Queue) -> Result<(), Failure> {
    match command {
        Queue::List { page: Page { limit, cursor }, target } => {
            show(&list(&target, cursor, limit)?, target.json);
            Ok(())
        }
        Queue::Admit { accounts, next: None, target } => {
            each(&target, accounts, "admitted", |account| Administration::QueueAdmit { account })
        }
        Queue::Admit { next: Some(count), target, .. } => {
            each(&target, oldest(&target, count)?, "admitted", |account| Administration::QueueAdmit { account })
        }
        Queue::Reject { accounts, target } => {
            each(&target, accounts, "rejected", |account| Administration::QueueRefuse { account })
        }
    }
}

fn list(target: &Target, cursor: Option<String>, limit: u32) -> Result<QueuePage, Failure> {
    let action = Administration::QueueList { cursor, limit };
    let Answer::Queue(page) = administer(target, &Command::Administer { action })? else { return Err(unexpected()) };
    Ok(page)
}

/// The DIDs of those who wait longest, without whom is being let in already.
fn oldest(target: &Target, count: u32) -> Result<Vec<String>, Failure> {
    let (mut oldest, mut cursor, count) = (Vec::new(), None, usize::try_from(count).unwrap_or(usize::MAX));
    while oldest.len() < count {
        let page = list(target, cursor, PER_PAGE)?;
        oldest.extend(page.waiting.into_iter().filter(|waiting| !waiting.being_let_in).map(|waiting| waiting.did));
        cursor = page.cursor;
        if cursor.is_none() {
            break;
        }
    }
    oldest.truncate(count);
    Ok(oldest)
}

/// Does it to each account, also when it can't be done to another.
fn each(
    target: &Target,
    accounts: Vec<String>,
    said: &str,
    action: impl Fn(String) -> Administration,
) -> Result<(), Failure> {
    let (mut all_done, mut failed): (Vec<Done>, usize) = (Vec::new(), 0);
    for account in accounts {
        match administer(target, &Command::Administer { action: action(account.clone()) }) {
            Ok(Answer::Done(done)) => {
                if !target.json {
                    output::text(format_args!("{}: {said}\n", done.subject));
                }
                all_done.push(done);
            }
            Ok(_) => return Err(unexpected()),
            Err(failure) => {
                output::remark(format_args!("{account}: {failure}"));
                failed += 1;
            }
        }
    }
    if target.json {
        output::json(&all_done);
    }
    match failed {
        0 => Ok(()),
        failed => Err(Failure::Failed(format!("{failed} accounts were not {said}, see above"))),
    }
}

fn show(page: &QueuePage, json: bool) {
    if json {
        return output::json(page);
    }
    let rows: Vec<[String; 6]> = page
        .waiting
        .iter()
        .map(|waiting| {
            [
                waiting.handle.clone(),
                waiting.did.clone(),
                waiting.since.clone(),
                if waiting.being_let_in { "being admitted" } else { "queued" }.to_owned(),
                waiting.email.clone().unwrap_or_default(),
                waiting.last_error.clone().unwrap_or_default(),
            ]
        })
        .collect();
    output::text(output::table(["HANDLE", "DID", "SINCE", "STATE", "EMAIL", "LAST ERROR"], &rows));
    output::more(page.cursor.as_deref());
}
