//! Every bound on what a client can make this server hold, wait for or compute. Units are in the names.

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

/// How many connections are held at once; further ones wait in the kernel's backlog.
pub const CONNECTIONS_MAX: usize = 16_384;

/// How many connections one address may hold (IPv6: one /64). Trusted proxies are exempt.
pub const CONNECTIONS_PER_ADDRESS_MAX: u32 = 128;

/// How many requests may run at once on one HTTP/2 connection.
pub const H2_STREAMS_MAX: u32 = 100;

/// How long accepting pauses after the system refused a connection, e.g. for want of file descriptors.
pub const ACCEPT_RETRY_MILLIS: u64 = 50;

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

/// The largest JSON request body, both as sent and decoded, in bytes.
pub const JSON_BYTES_MAX: usize = 150 * 1024;

/// The largest JSON request body of a record write, in bytes.
pub const JSON_RECORD_BYTES_MAX: usize = 1_000_000;

/// How deeply arrays and objects of a JSON request body may nest.
pub const JSON_DEPTH_MAX: usize = 64;

/// How many content codings a request body may be wrapped in.
pub const CONTENT_CODINGS_MAX: usize = 2;

/// How many bytes of a blob are written, read or decoded at once; also how much of one is held in memory.
pub const BLOB_PIECE_BYTES: usize = 256 * 1024;

/// How many of a blob's first bytes are looked at to find out what it is.
pub const BLOB_HEAD_BYTES: usize = 8 * 1024;

/// How many blobs may be on their way in at once; further ones are told to come back.
pub const UPLOADS_MAX: usize = 256;

/// How many of these may be one account's.
pub const UPLOADS_PER_ACCOUNT_MAX: usize = 32;

/// How many parameters a query string may have.
pub const QUERY_PARAMS_MAX: usize = 200;

/// How many writes may wait for one repository; further ones are told to come back.
pub const REPO_TURNS_WAITING_MAX: usize = 1024;

/// How many bytes of records waiting writes may share a commit with.
pub const SHARED_COMMIT_RECORD_BYTES_MAX: usize = 1_000_000;

/// How many record keys are read at once to build a tree.
pub const RECORD_KEYS_PER_READ: i64 = 4096;

/// How often a WebSocket's client is asked for a sign of life.
pub const WEBSOCKET_PING_SECS: u64 = 30;

/// How long a WebSocket's client may send nothing at all, not even an answer to a ping.
pub const WEBSOCKET_SILENCE_SECS: u64 = 4 * WEBSOCKET_PING_SECS;

/// How long a write to a WebSocket may make no progress before the client is too slow.
pub const WEBSOCKET_STALL_SECS: u64 = 20;

/// How long a WebSocket that ends is given to take its last messages and to agree.
pub const WEBSOCKET_CLOSE_SECS: u64 = 3;

/// The longest message taken from a WebSocket's client, in bytes.
pub const WEBSOCKET_RECEIVED_BYTES_MAX: usize = 1024 * 1024;

/// How many accounts that were lately asked for are remembered.
pub const REMEMBERED_ACCOUNTS_MAX: usize = 10_000;

/// How many sign-ins that were lately used are remembered.
pub const REMEMBERED_SESSIONS_MAX: usize = 20_000;

/// How many readers may read repositories at length at once; further ones are told to come back.
pub const SNAPSHOTS_MAX: usize = 256;

/// How many bytes of replaced and deleted records are kept for all those readers together. One who needs more is cut off.
pub const SNAPSHOTS_REPLACED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How many bytes of records make one read of an export long enough.
pub const RECORD_BYTES_PER_READ: usize = 256 * 1024;

/// How many bytes make a piece of a CAR file large enough to be sent.
pub const CAR_CHUNK_BYTES: usize = 128 * 1024;
