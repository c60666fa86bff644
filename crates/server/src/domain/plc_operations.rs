//! Operations for the did:plc directory that must not get lost: their exact bytes are stored before they are sent, and
//! sent again, unchanged, until it is known whether the directory has them.
//!
//! Sign-ups, changes of identities and admissions from the sign-up queue store them, each in a table of its own, with
//! what has to be done once the directory has the operation.

use allod_atproto::{Did, plc::Operation};
use allod_plc::client::{PlcClient, ReadError as DirectoryError, SubmitError};
use allod_store::ReadError;

use super::integrity::{self, Integrity};

/// Whether the directory may have received the operation before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Attempt {
    /// It is sent for the first time.
    First,
    /// It may have been sent before.
    Again,
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The directory has it.
    Accepted,
    /// The directory does not have it and rejected it, with this message of its own.
    Rejected(String),
    /// It was not sent, and never had been. The reason is for the log.
    NotSent(String),
}

/// It is not known yet whether the directory has an operation. The reasons are for the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// The directory does not answer; it will not for other DIDs either.
    #[error("{0}")]
    Outage(String),
    /// What the directory has of this DID can't be read.
    #[error("{0}")]
    LogUnreadable(String),
}

impl From<DirectoryError> for Undecided {
    fn from(error: DirectoryError) -> Self {
        let reason = error.to_string();
        match error {
            DirectoryError::Unavailable { .. } => Self::Outage(reason),
            DirectoryError::Refused { .. } | DirectoryError::Invalid { .. } => Self::LogUnreadable(reason),
        }
    }
}

/// Reads a stored operation. One that can't be read is reported; `what` names its column.
pub fn stored(integrity: &Integrity, did: &Did, operation: &str, what: &'static str) -> Result<Operation, ReadError> {
    Operation::parse_text(operation).map_err(|_| {
        integrity.report(&integrity::repository(did), "a stored operation of its identity can't be read");
        ReadError::Corrupt { what }
    })
}

/// Sends an operation and finds out what became of it.
pub async fn send(
    directory: &PlcClient,
    did: &Did,
    operation: &Operation,
    attempt: Attempt,
) -> Result<Outcome, Undecided> {
    match directory.submit(did, operation).await {
        Ok(()) => Ok(Outcome::Accepted),
        Err(SubmitError::Unreachable { reason }) => match attempt {
            Attempt::First => Ok(Outcome::NotSent(reason)),
            Attempt::Again => Err(Undecided::Outage(reason)),
        },
        Err(SubmitError::Unknown { reason }) => {
            if is_accepted(directory, did, operation).await? {
                Ok(Outcome::Accepted)
            } else {
                // It may still be on its way.
                Err(Undecided::Outage(reason))
            }
        }
        // The directory also rejects an operation that it has already.
        Err(SubmitError::Refused { message, .. }) => match is_accepted(directory, did, operation).await {
            Ok(true) => Ok(Outcome::Accepted),
            Ok(false) => Ok(Outcome::Rejected(message)),
            Err(_) if attempt == Attempt::First => Ok(Outcome::Rejected(message)),
            Err(undecided) => Err(undecided),
        },
    }
}

/// Asks the directory whether it has an operation.
pub async fn is_accepted(directory: &PlcClient, did: &Did, operation: &Operation) -> Result<bool, Undecided> {
    let wanted = operation.cid();
    let log = directory.audit_log(did).await?;
    Ok(log.iter().flatten().any(|entry| entry.cid == wanted && !entry.nullified))
}

/// Pauses between attempts: each twice as long as the one before it.
#[derive(Debug, Clone, Copy)]
pub struct BackOff {
    /// The first pause, in seconds.
    pub first_secs: u64,
    /// The longest pause, in seconds.
    pub max_secs: u64,
}

impl BackOff {
    /// The pause after so many failed attempts, in seconds.
    pub fn pause_secs(self, attempts: i64) -> u64 {
        let doublings = u32::try_from(attempts).unwrap_or(u32::MAX).min(10);
        (self.first_secs << doublings).min(self.max_secs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest() {
        let back_off = BackOff { first_secs: 30, max_secs: 600 };
        let pauses: Vec<u64> = (0..6).map(|attempts| back_off.pause_secs(attempts)).collect();
        assert_eq!(pauses, [30, 60, 120, 240, 480, 600]);
        assert_eq!((back_off.pause_secs(-1), back_off.pause_secs(i64::MAX)), (600, 600));
    }
}
