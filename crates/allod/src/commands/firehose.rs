//! `allod firehose`: how the firehose is doing, asked of the running server or read from its data directly.

use allod_server::control::{Answer, Command, FirehoseStatus};

use super::{Failure, account::unexpected, administer::administer};
use crate::{cli::Firehose, output};

/// Carries out the command.
pub(super) fn run(command: &Firehose) -> Result<(), Failure> {
    let Firehose::Status { target } = command;
    let Answer::Firehose(status) = administer(target, &Command::FirehoseStatus {})? else { return Err(unexpected()) };
    if target.json {
        output::json(&status);
    } else {
        show(&status);
    }
    Ok(())
}

fn show(status: &FirehoseStatus) {
    let oldest = status.oldest_seq.zip(status.oldest_at.as_ref()).map(|(seq, at)| format!("{seq} of {at}"));
    output::text(output::fields(&[
        ("newest event", Some(status.newest_seq.to_string())),
        ("oldest event", Some(oldest.unwrap_or_else(|| "none is kept".to_owned()))),
        ("in memory", Some(format!("{} bytes", status.ring_bytes))),
        ("subscribers", Some(status.subscribers.len().to_string())),
        ("relays", Some(status.relays.len().to_string())),
    ]));
    if !status.subscribers.is_empty() {
        let rows: Vec<[String; 5]> = status
            .subscribers
            .iter()
            .map(|subscriber| {
                [
                    subscriber.address.clone(),
                    subscriber.form.clone(),
                    subscriber.position.to_string(),
                    subscriber.lag.to_string(),
                    subscriber.since.clone(),
                ]
            })
            .collect();
        output::text(format_args!("\n{}", output::table(["ADDRESS", "FORM", "AT", "BEHIND", "SINCE"], &rows)));
    }
    for relay in &status.relays {
        let never = || Some("never".to_owned());
        output::text("\n");
        output::text(output::fields(&[
            ("relay", Some(relay.url.clone())),
            ("last asked", relay.last_try_at.clone().or_else(never)),
            ("last agreed", relay.last_success_at.clone().or_else(never)),
            ("last error", relay.last_error.clone()),
            ("told up to", Some(relay.told_seq.to_string())),
            ("asked again after", relay.next_try_at.clone()),
        ]));
    }
}
