//! `allod firehose`: how the firehose is doing, asked of the running server or read from its data directly.

use allod_server::control::{AheadStatus, Answer, Command, FirehoseStatus, SequenceRaised};

use super::{Failure, account::unexpected, administer::administer};
use crate::{cli::Firehose, output};

/// Carries out the command.
pub(super) fn run(command: Firehose) -> Result<(), Failure> {
    match command {
        Firehose::Status { target } => {
            let answer = administer(&target, &Command::FirehoseStatus {})?;
            let Answer::Firehose(status) = answer else { return Err(unexpected()) };
            if target.json {
                output::json(&status);
            } else {
                show(&status);
            }
        }
        Firehose::RaiseSequence { number, target } => {
            let answer = administer(&target, &Command::FirehoseRaise { number })?;
            let Answer::SequenceRaised(raised) = answer else { return Err(unexpected()) };
            if target.json {
                output::json(&raised);
            } else {
                let SequenceRaised { before, newest_seq } = raised;
                output::text(format_args!(
                    "sequence raised from {before}; the next event gets number {}\n",
                    newest_seq + 1
                ));
            }
        }
    }
    Ok(())
}

fn show(status: &FirehoseStatus) {
    let oldest = status.oldest_seq.zip(status.oldest_at.as_ref()).map(|(seq, at)| format!("{seq} at {at}"));
    output::text(output::fields(&[
        ("newest event", Some(status.newest_seq.to_string())),
        ("oldest event", Some(oldest.unwrap_or_else(|| "none".to_owned()))),
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
    if !status.ahead.is_empty() {
        let rows: Vec<[String; 5]> = status
            .ahead
            .iter()
            .map(|ahead| {
                let AheadStatus { address, form, cursor, at, times } = ahead;
                [address.clone(), form.clone(), cursor.to_string(), times.to_string(), at.clone()]
            })
            .collect();
        output::text(format_args!(
            "\nAhead of the newest event (these subscribers get no events):\n{}",
            output::table(["ADDRESS", "FORM", "CURSOR", "TIMES", "LAST"], &rows)
        ));
        output::remark(format_args!(
            "if one of these is a relay, the data was restored from an older copy: run allod firehose raise-sequence N, with N \
             above its cursor"
        ));
    }
    for relay in &status.relays {
        let never = || Some("never".to_owned());
        output::text("\n");
        output::text(output::fields(&[
            ("relay", Some(relay.url.clone())),
            ("last attempt", relay.last_try_at.clone().or_else(never)),
            ("last success", relay.last_success_at.clone().or_else(never)),
            ("last error", relay.last_error.clone()),
            ("notified up to", Some(relay.told_seq.to_string())),
            ("next attempt after", relay.next_try_at.clone()),
        ]));
    }
}
