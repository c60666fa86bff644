//! `allod takedown`: takes accounts, records and blobs down, and back.

use allod_server::control::{Administration, Answer, Command, TakedownSubject};

use super::{Failure, account::unexpected, administer::administer};
use crate::{
    cli::{Decision, Takedown, Target},
    output,
};

/// Carries out the command.
pub(super) fn run(command: Takedown) -> Result<(), Failure> {
    let (subject, decision, target) = match command {
        Takedown::Account { account, decision, target } => (TakedownSubject::Account(account), decision, target),
        Takedown::Record { uri, decision, target } => (TakedownSubject::Record(uri), decision, target),
        Takedown::Blob { account, cid, decision, target } => (TakedownSubject::Blob(account, cid), decision, target),
    };
    let Decision { reference, undo } = decision;
    let said = if undo { "takedown undone" } else { "taken down" };
    done(&target, Administration::Takedown { subject, applied: !undo, reference }, said)
}

/// Has something done that answers no more than to what.
pub(super) fn done(target: &Target, action: Administration, said: &str) -> Result<(), Failure> {
    let Answer::Done(done) = administer(target, &Command::Administer { action })? else { return Err(unexpected()) };
    if target.json {
        output::json(&done);
    } else {
        output::text(format_args!("{}: {said}\n", done.subject));
    }
    Ok(())
}
