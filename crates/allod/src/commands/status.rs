//! `allod status`: whether the running server is well, and what to do when it is not.

use allod_server::control::{self, Answer, CallError, Command, ServerStatus, Silent};

use super::{Failure, account::unexpected, administer::Place};
use crate::{cli::Target, output, runtime};

/// Carries the command out. What is wrong is a failure.
pub(super) fn run(target: &Target) -> Result<(), Failure> {
    let data = Place::find(target)?.data;
    let answer = runtime::for_command().map_err(Failure::failed)?.block_on(async {
        match control::call(&data.control_socket(), &Command::Status {}, &mut Silent).await {
            Ok(answer) => Ok(answer),
            Err(CallError::NoServer) => Err(Failure::Failed(format!(
                "no running server uses the data in {}; start it, or use --data-dir for another directory",
                data.path().display()
            ))),
            Err(error) => Err(Failure::failed(error)),
        }
    })?;
    let Answer::Status(status) = answer else { return Err(unexpected()) };
    if target.json {
        output::json(&status);
    } else {
        show(&status);
    }
    if status.problems.is_empty() {
        return Ok(());
    }
    let problems: Vec<String> =
        status.problems.iter().map(|found| format!("{}\n  remedy: {}", found.problem, found.remedy)).collect();
    Err(Failure::Failed(problems.join("\n")))
}

fn show(status: &ServerStatus) {
    let scrub = status.scrub.as_ref().map(|scrub| match (&scrub.ended_at, &scrub.account) {
        (Some(ended_at), _) => format!("last run ended at {ended_at}"),
        (None, Some(account)) => format!("running since {}, at {account}", scrub.started_at),
        (None, None) => format!("running since {}", scrub.started_at),
    });
    let damaged = status.damaged_places.len() + status.damaged_data.len();
    output::text(output::fields(&[
        ("version", Some(status.version.clone())),
        ("accepts writes", Some(if status.takes_writes { "yes" } else { "no" }.to_owned())),
        ("damaged", Some((damaged as u64 + status.further_damage).to_string())),
        ("scrub", Some(scrub.unwrap_or_else(|| "not run yet".to_owned()))),
    ]));
    for place in &status.damaged_places {
        let page = place.page.map(|page| format!(", page {page}")).unwrap_or_default();
        output::text(format_args!("  {}{page}: {} ({} times)\n", place.file, place.what, place.count));
    }
    for data in &status.damaged_data {
        output::text(format_args!("  {}: {} ({} times)\n", data.subject, data.what, data.count));
    }
    if status.further_damage > 0 {
        output::text(format_args!("  and {} more\n", status.further_damage));
    }
}
