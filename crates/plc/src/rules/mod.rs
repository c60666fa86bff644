//! What may follow what in a did:plc's log. Pure: the log so far, the operation and the time are arguments.
//!
//! An operation follows the state of the operation it names as `prev` and is signed by one of that state's rotation
//! keys. Naming an older one forks the log: that takes a key of lower index than the one that signed the first
//! operation undone by it, within 72 hours of that operation. What is undone stays in the log, marked nullified.
//!
//! Spec: <https://web.plc.directory/spec/v0.1/did-plc>

mod audit;
mod rate;

use allod_atproto::{
    Cid, Did,
    plc::{Operation, PlcOperationError},
};

pub use audit::{AuditError, State, verify_audit_log};

/// How long a more powerful key may undo an operation, in milliseconds; exactly this is still in time.
pub const RECOVERY_WINDOW_MILLIS: u64 = 72 * 60 * 60 * 1000;

/// One operation of a DID's log, as the audit log gives it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogEntry {
    /// The DID.
    pub did: Did,
    /// The operation.
    pub operation: Operation,
    /// The operation's CID.
    pub cid: Cid,
    /// Whether a later operation undid it.
    pub nullified: bool,
    /// When the directory took it, in milliseconds since the Unix epoch.
    pub created_at_millis: u64,
}

/// What taking an operation does to the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The new operation's CID.
    pub cid: Cid,
    /// The operations that it undoes, oldest first.
    pub nullified: Vec<Cid>,
}

/// Why an operation may not be taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RuleError {
    /// The operation itself is not valid, or larger than a new one may be.
    #[error(transparent)]
    Operation(#[from] PlcOperationError),
    /// It does not follow an operation that can be followed.
    #[error("Operations not correctly ordered")]
    Misordered,
    /// The operation makes another DID.
    #[error("Hash of genesis operation does not match DID identifier: {made}")]
    WrongDid {
        /// The DID that it makes.
        made: Did,
    },
    /// It would undo an operation that is too old for that.
    #[error("Recovery operation occurred outside of the allowed 72 hr recovery window. Time lapsed: {lapsed_millis}")]
    TooLate {
        /// The age of the first operation it would undo.
        lapsed_millis: u64,
    },
    /// The time given is not after that of the log's newest operation.
    #[error("Operation is not newer than the log")]
    TimeNotIncreasing,
    /// The DID had too many operations lately.
    #[error("Too many operations within last {window} (max {operations_max})")]
    TooMany {
        /// `hour`, `day` or `week`.
        window: &'static str,
        /// The most there may be.
        operations_max: usize,
    },
}

/// Decides whether a directory may take `proposed` as the next operation of `did` at `now_millis`.
///
/// `log` is the whole audit log so far, oldest first. Beside the order and the signature, a new operation must have the
/// present form and the sizes of [`Operation::check_new`], and keep to the rate per DID unless it undoes something.
pub fn check_next(did: &Did, log: &[LogEntry], proposed: &Operation, now_millis: u64) -> Result<Accepted, RuleError> {
    proposed.check_new()?;
    let accepted = follow(did, log, proposed, now_millis)?;
    if accepted.nullified.is_empty() {
        rate::check(log, now_millis)?;
    }
    Ok(accepted)
}

/// The rules that hold for every operation of a log, old or new.
fn follow(did: &Did, log: &[LogEntry], proposed: &Operation, now_millis: u64) -> Result<Accepted, RuleError> {
    let cid = proposed.cid();
    let Some(newest) = log.last() else {
        check_genesis(did, proposed)?;
        return Ok(Accepted { cid, nullified: Vec::new() });
    };
    let wanted = proposed.prev().ok_or(RuleError::Misordered)?;
    let mut rest = log.iter().filter(|entry| !entry.nullified).skip_while(|entry| entry.cid != wanted);
    let prev = rest.next().ok_or(RuleError::Misordered)?;
    let keys = prev.operation.data().ok_or(RuleError::Misordered)?.rotation_keys;
    let undone: Vec<&LogEntry> = rest.collect();
    if let Some(first) = undone.first() {
        let signer = first.operation.verify_signature(&keys)?;
        proposed.verify_signature(keys.get(..signer).unwrap_or_default())?;
        let lapsed_millis = now_millis.saturating_sub(first.created_at_millis);
        if lapsed_millis > RECOVERY_WINDOW_MILLIS {
            return Err(RuleError::TooLate { lapsed_millis });
        }
    } else {
        proposed.verify_signature(&keys)?;
    }
    if now_millis <= newest.created_at_millis {
        return Err(RuleError::TimeNotIncreasing);
    }
    Ok(Accepted { cid, nullified: undone.iter().map(|entry| entry.cid).collect() })
}

fn check_genesis(did: &Did, proposed: &Operation) -> Result<(), RuleError> {
    let made = proposed.did().map_err(|_| RuleError::Misordered)?;
    let keys = proposed.data().ok_or(RuleError::Misordered)?.rotation_keys;
    proposed.verify_signature(&keys)?;
    if made == *did { Ok(()) } else { Err(RuleError::WrongDid { made }) }
}
