//! The sizes in which blobs are read, written and decoded. Units are in the names.

/// The largest piece in which a stored blob is read, in bytes.
pub const BLOB_READ_BYTES: usize = 64 * 1024;

/// How many bytes of a blob are written or decoded at once; also how much of an upload is held in memory.
pub const BLOB_PIECE_BYTES: usize = 256 * 1024;

/// How many of a blob's first bytes are kept in memory to detect its type.
pub const BLOB_HEAD_BYTES: usize = 8 * 1024;
