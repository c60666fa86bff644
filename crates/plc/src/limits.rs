//! Every bound of the directory service.

use std::time::Duration;

/// The largest body of a posted operation, in bytes. The JSON of 4,000 bytes of CBOR is never larger.
pub const BODY_BYTES_MAX: usize = 32 * 1024;
/// How long a request may take, its body included, in seconds.
pub const REQUEST_SECS_MAX: u64 = 30;
/// How long a connection may take to send a request's head, in seconds.
pub const HEAD_SECS_MAX: u64 = 15;
/// The most connections at a time.
pub const CONNECTIONS_MAX: u32 = 1024;
/// How long open connections may go on after the end was asked for, in seconds.
pub const DRAIN_SECS_MAX: u64 = 5;
/// How often an operation is checked again when the log moved under it.
pub const SUBMIT_ATTEMPTS_MAX: usize = 4;
/// The most operations of one page of `/export`.
pub const EXPORT_COUNT_MAX: i64 = 1000;
/// The most further operations of the same millisecond as a page's last one that are put behind it.
pub const EXPORT_TIES_MAX: i64 = 1000;
/// The most consumers of `/export/stream` at a time.
pub const STREAMS_MAX: u32 = 256;
/// How many operations a stream reads from the store at once.
pub const STREAM_PAGE_MAX: i64 = 200;
/// How far back a stream's cursor may lie, in seconds: seven days.
pub const STREAM_BACKFILL_SECS_MAX: u64 = 7 * 24 * 60 * 60;
/// How often a stream without news is pinged, in seconds.
pub const STREAM_PING_SECS: u64 = 30;
/// How long a consumer may take to be told why its stream ends, in seconds.
pub const STREAM_CLOSE_SECS_MAX: u64 = 2;
/// The largest message that a consumer may send, in bytes; what it says is not looked at.
pub const STREAM_MESSAGE_BYTES_MAX: usize = 4096;

/// The bounds that a test may want tighter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamLimits {
    /// How long one message of a stream may take to leave.
    pub send_time_max: Duration,
    /// How long a client may take nothing of an answer.
    pub answer_time_max: Duration,
}

impl Default for StreamLimits {
    fn default() -> Self {
        Self { send_time_max: Duration::from_secs(20), answer_time_max: Duration::from_secs(40) }
    }
}
