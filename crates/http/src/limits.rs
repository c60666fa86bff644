//! Every bound on what a peer can make a connection hold or wait for. Units are in the names.

/// The largest request head taken, in bytes; beyond it the answer is 431.
pub const HEADER_BYTES_MAX: usize = 16 * 1024;

/// How many header fields a request may have.
pub const HEADER_FIELDS_MAX: usize = 100;

/// How long a client may take to send a request head.
pub const HEADER_TIMEOUT_SECS: u64 = 10;

/// How long a connection may stay open without a request, or with a response the client does not read.
pub const CONNECTION_IDLE_SECS: u64 = 60;

/// How long a connection that was asked to end may take over it.
pub const CONNECTION_CLOSE_SECS: u64 = 5;

/// How many connections are held at once, where the process may open as many files; further ones wait in the kernel's
/// backlog.
pub const CONNECTIONS_MAX: usize = 16_384;

/// How many connections one address may hold (IPv6: one /64). Trusted proxies are exempt.
pub const CONNECTIONS_PER_ADDRESS_MAX: u32 = 128;

/// How many requests may run at once on one HTTP/2 connection.
pub const H2_STREAMS_MAX: u32 = 100;

/// How many bytes of one answer HTTP/2 buffers beyond what is being written.
pub const H2_SEND_BUFFER_BYTES: usize = 64 * 1024;

/// How often the client of a quiet HTTP/2 connection is asked for a sign of life.
pub const H2_PING_SECS: u64 = 30;

/// How long it may take to answer that.
pub const H2_PONG_SECS: u64 = 20;

/// How long a client may take nothing of an answer that it asked for.
pub const ANSWER_STALL_SECS: u64 = 30;

/// How long a client is waited for in all before the minimum rate counts.
pub const ANSWER_GRACE_SECS: u64 = 30;

/// The slowest rate at which an answer is sent, in bytes a second of waiting for the client.
pub const ANSWER_BYTES_PER_SEC_MIN: u64 = 4 * 1024;

/// How long sending one answer may take in all.
pub const ANSWER_SECS_MAX: u64 = 4 * 60 * 60;

/// How many bytes of an answer are handed to the connection at once.
pub const ANSWER_PIECE_BYTES: usize = 64 * 1024;

/// How many bytes an answer that is sent piece by piece counts as holding; more if a piece is larger.
pub const STREAM_HELD_BYTES: usize = 256 * 1024;

/// The smallest answer that is coded for the way, in bytes.
pub const CODED_ANSWER_BYTES_MIN: usize = 1024;

/// Above how many bytes an answer is coded on a thread for blocking work.
pub const CODED_INLINE_BYTES_MAX: usize = 32 * 1024;

/// How many answers are coded there at once; further ones are sent as they are.
pub const CODED_AT_ONCE_MAX: usize = 4;

/// How long accepting pauses after the system refused a connection, e.g. for want of file descriptors.
pub const ACCEPT_RETRY_MILLIS: u64 = 50;

/// The shortest interval between two warnings that connections can't be accepted.
pub const ACCEPT_WARNING_SECS: u64 = 60;

/// How long running requests are given to end when the server stops.
pub const SHUTDOWN_SECS: u64 = 30;

/// How long the server waits for a request body's bytes before the minimum rate counts.
pub const BODY_GRACE_SECS: u64 = 10;

/// The slowest request body taken, in bytes a second of waiting.
pub const BODY_BYTES_PER_SEC_MIN: u64 = 1024;

/// How much of a refused request's body is still read, in bytes, so that the client gets to see the refusal.
pub const REFUSED_BODY_BYTES_MAX: u64 = 1024 * 1024;

/// How long a refused request's body is still read.
pub const REFUSED_BODY_SECS: u64 = 2;

/// How often a WebSocket's client is asked for a sign of life.
pub const WEBSOCKET_PING_SECS: u64 = 30;

/// How long a WebSocket's client may send nothing at all, not even an answer to a ping.
pub const WEBSOCKET_SILENCE_SECS: u64 = 4 * WEBSOCKET_PING_SECS;

/// How long a write to a WebSocket may make no progress before the client is too slow.
pub const WEBSOCKET_STALL_SECS: u64 = 20;

/// How long a WebSocket's client is waited for in all before the minimum rate counts.
pub const WEBSOCKET_GRACE_SECS: u64 = 60;

/// The slowest rate at which a WebSocket's client takes messages that wait, in bytes a second of waiting.
pub const WEBSOCKET_BYTES_PER_SEC_MIN: u64 = 1024;

/// How long a WebSocket that ends is given to take its last messages and to agree.
pub const WEBSOCKET_CLOSE_SECS: u64 = 3;

/// How many bytes are still read from a WebSocket's client after a message that is too long or malformed.
pub const WEBSOCKET_DRAINED_BYTES_MAX: usize = 4 * 1024 * 1024;

/// The longest message taken from a WebSocket's client, in bytes.
pub const WEBSOCKET_RECEIVED_BYTES_MAX: usize = 1024 * 1024;

/// The largest piece of a streamed answer that [`STREAM_HELD_BYTES`] covers, in bytes.
pub const STREAM_PIECE_BYTES: usize = 64 * 1024;
