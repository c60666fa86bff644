//! `allod mail`: whether letters get through, asked of the running server or tried on its data directly.

use allod_server::control::{Answer, Command, MailReport};

use super::{Failure, account::unexpected, administer::administer};
use crate::{cli::Mail, output};

/// Carries out the command.
pub(super) fn run(command: Mail) -> Result<(), Failure> {
    match command {
        Mail::Status { target } => {
            let Answer::Mail(report) = administer(&target, &Command::MailStatus {})? else { return Err(unexpected()) };
            if target.json {
                output::json(&report);
            } else {
                show(&report);
            }
        }
        Mail::Test { address, target } => {
            let answer = administer(&target, &Command::MailTest { to: address })?;
            let Answer::MailTested(tested) = answer else { return Err(unexpected()) };
            if target.json {
                output::json(&tested);
            } else {
                output::text(format_args!("the mail server accepted an e-mail to {}\n", tested.to));
            }
        }
    }
    Ok(())
}

fn show(report: &MailReport) {
    output::text(output::fields(&[
        ("delivery", Some(report.letters_are.clone())),
        ("queued", Some(report.waiting.to_string())),
        ("failed attempts", Some(report.tried.to_string())),
        ("oldest", report.oldest_at.clone()),
        ("last sent", report.last_sent_at.clone()),
        ("last error", report.last_error.clone()),
        ("at", report.last_error_at.clone()),
    ]));
}
