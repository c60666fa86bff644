//! How often a DID may change. Undoing is not counted against the one who undoes: else an attacker could fill the
//! hour and so keep the owner out.

use super::{LogEntry, RuleError};

const HOUR_MILLIS: u64 = 60 * 60 * 1000;

/// The windows: name, length in milliseconds, the most operations within it.
const WINDOWS: [(&str, u64, usize); 3] =
    [("hour", HOUR_MILLIS, 10), ("day", 24 * HOUR_MILLIS, 30), ("week", 7 * 24 * HOUR_MILLIS, 100)];

pub(super) fn check(log: &[LogEntry], now_millis: u64) -> Result<(), RuleError> {
    for (window, millis, operations_max) in WINDOWS {
        let recent =
            |entry: &&LogEntry| !entry.nullified && entry.created_at_millis.saturating_add(millis) > now_millis;
        if log.iter().filter(recent).count() >= operations_max {
            return Err(RuleError::TooMany { window, operations_max });
        }
    }
    Ok(())
}
