//! `allod audit`: what operators and moderators did.

use allod_server::control::{Administration, Answer, Command};

use super::{Failure, account::unexpected, administer::administer};
use crate::{
    cli::{Page, Target},
    output,
};

/// Carries out the command.
pub(super) fn run(Page { limit, cursor }: Page, target: &Target) -> Result<(), Failure> {
    let command = Command::Administer { action: Administration::Audit { cursor, limit } };
    let Answer::Audit(log) = administer(target, &command)? else { return Err(unexpected()) };
    if target.json {
        output::json(&log);
        return Ok(());
    }
    let rows: Vec<[String; 5]> =
        log.entries.into_iter().map(|line| [line.at, line.actor, line.method, line.outcome, line.subject]).collect();
    output::text(output::table(["WHEN", "WHO", "HOW", "OUTCOME", "SUBJECT"], &rows));
    output::more(log.cursor.as_deref());
    Ok(())
}
