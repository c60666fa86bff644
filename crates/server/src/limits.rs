//! Every bound on what a client can make this server hold, wait for or compute. Units are in the names.

/// The largest answer that counts as small, in bytes.
pub const SMALL_ANSWER_BYTES_MAX: usize = 16 * 1024;

/// How many bytes of small answers are held in memory at once; requests beyond are told to come back.
pub const SMALL_ANSWERS_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How many bytes of small answers are held for one address.
pub const SMALL_ANSWERS_PER_ADDRESS_BYTES_MAX: usize = 4 * 1024 * 1024;

/// How many bytes of memory are reserved for the answer to a write before it is carried out.
pub const WRITE_ANSWER_BYTES_RESERVED: usize = 4 * 1024;

/// How many bytes of large answers are held in memory at once; requests beyond are told to come back.
pub const LARGE_ANSWERS_BYTES_MAX: usize = 96 * 1024 * 1024;

/// How many bytes of large answers are held for one address, but for one answer that is larger by itself.
pub const LARGE_ANSWERS_PER_ADDRESS_BYTES_MAX: usize = 24 * 1024 * 1024;

/// How many pages of records are read and written as JSON at once; further ones wait.
pub const RECORD_PAGES_AT_ONCE_MAX: usize = 16;

/// After how many bytes of stored records a page of them ends.
pub const RECORD_PAGE_BYTES_MAX: usize = 512 * 1024;

/// After how many bytes of JSON a page of a list ends.
pub const LIST_ANSWER_BYTES_MAX: usize = 1024 * 1024;

/// How many characters of a request's path are logged.
pub const LOGGED_PATH_CHARS_MAX: usize = 200;

/// The largest JSON request body, both as sent and decoded, in bytes.
pub const JSON_BYTES_MAX: usize = 150 * 1024;

/// The largest JSON request body of a record write, in bytes.
pub const JSON_RECORD_BYTES_MAX: usize = 1_000_000;

/// How many content codings a request body may be wrapped in.
pub const CONTENT_CODINGS_MAX: usize = 2;

/// The slowest blob upload taken, in bytes a second of waiting.
pub const UPLOAD_BYTES_PER_SEC_MIN: u64 = 4 * 1024;

/// How long a blob upload may take in all.
pub const UPLOAD_SECS_MAX: u64 = 60 * 60;

/// How many blobs may be on their way in at once; further ones are told to come back.
pub const UPLOADS_MAX: usize = 256;

/// How many of these may come from one address.
pub const UPLOADS_PER_ADDRESS_MAX: usize = 64;

/// How many of these may be one account's.
pub const UPLOADS_PER_ACCOUNT_MAX: usize = 16;

/// How often the log says that there is no room in memory for answers, in seconds.
pub const NO_ROOM_WARNING_SECS: u64 = 60;

/// How many parameters a query string may have.
pub const QUERY_PARAMS_MAX: usize = 200;

/// How many writes may wait for one repository; further ones are told to come back.
pub const REPO_TURNS_WAITING_MAX: usize = 1024;

/// How many bytes of records waiting writes may share a commit with.
pub const SHARED_COMMIT_RECORD_BYTES_MAX: usize = 1_000_000;

/// How many record keys are read at once to build a tree.
pub const RECORD_KEYS_PER_READ: i64 = 4096;

/// How many accounts that were lately asked for are remembered.
pub const REMEMBERED_ACCOUNTS_MAX: usize = 10_000;

/// How many sign-ins that were lately used are remembered.
pub const REMEMBERED_SESSIONS_MAX: usize = 20_000;

/// How many callers' windows are kept to count what they do; about 100 bytes each.
pub const RATE_LIMIT_WINDOWS_MAX: usize = 100_000;

/// How many exports of repositories run at once; further ones are told to come back.
pub const SNAPSHOTS_MAX: usize = 256;

/// How many of these may be for one address.
pub const SNAPSHOTS_PER_ADDRESS_MAX: usize = 32;

/// How many of these may be for one signed-in account.
pub const SNAPSHOTS_PER_ACCOUNT_MAX: usize = 8;

/// How many searches of repositories for single blocks may be under way; one is carried out, the others wait.
pub const BLOCK_SEARCHES_MAX: usize = 64;

/// How many of these may be one address's or account's.
pub const BLOCK_SEARCHES_PER_CALLER_MAX: usize = 8;

/// How many bytes of replaced and deleted records are kept for all exports together; an export that needs more is cut off.
pub const SNAPSHOTS_REPLACED_BYTES_MAX: usize = 32 * 1024 * 1024;

/// How many bytes of records make one read of an export long enough.
pub const RECORD_BYTES_PER_READ: usize = 128 * 1024;

/// How many bytes make a piece of a CAR file large enough to be sent.
pub const CAR_CHUNK_BYTES: usize = 64 * 1024;

/// How many repositories are imported at once.
pub const IMPORTS_AT_ONCE_MAX: usize = 4;

/// How many of these may come from one address.
pub const IMPORTS_PER_ADDRESS_MAX: usize = 2;

/// The slowest import taken, in bytes a second of waiting.
pub const IMPORT_BYTES_PER_SEC_MIN: u64 = 16 * 1024;

/// How long receiving an imported CAR file may take in all.
pub const IMPORT_RECEIVE_SECS_MAX: u64 = 2 * 60 * 60;

/// How many blocks an imported CAR file may have, doubles included; each takes 24 bytes of memory.
pub const IMPORT_BLOCKS_MAX: usize = 4_000_000;

/// The largest block of an imported CAR file, in bytes.
pub const IMPORT_BLOCK_BYTES_MAX: usize = 2_000_000;

/// How many collections an imported repository may have.
pub const IMPORT_COLLECTIONS_MAX: usize = 10_000;

/// How far ahead of the time an imported repository's revision may be. Relays drop commits that are further ahead.
pub const IMPORT_REV_AHEAD_SECS_MAX: u64 = 5 * 60;

/// How much of an imported CAR file is handed to a thread for blocking work at once, in bytes.
pub const IMPORT_PIECE_BYTES: usize = 1024 * 1024;

/// How many imported records are checked or written at once.
pub const IMPORT_PORTION_RECORDS: usize = 500;

/// After how many bytes of imported records a portion is written.
pub const IMPORT_PORTION_RECORD_BYTES: usize = 1024 * 1024;

/// How long the records of an import are kept when it makes no progress.
pub const IMPORT_IDLE_SECS_MAX: u64 = 60 * 60;

/// How long the records that an import replaced are kept for those who are reading them.
pub const RETIRED_SET_KEPT_SECS: u64 = 60 * 60;

/// How many damaged records and blobs are listed for `allod status`.
pub const DAMAGES_LISTED_MAX: usize = 100;

/// How many problems of one repository a check lists.
pub const VERIFY_PROBLEMS_MAX: usize = 100;

/// How many rows of each table go in one transaction when records are deleted that no repository has.
pub const RETIRED_ROWS_PER_TXN: i64 = 500;

/// How many such transactions one pass of the jobs makes.
pub const RETIRED_PORTIONS_PER_PASS_MAX: usize = 500;

/// How many e-mails may wait in the outbox; further ones are rejected.
pub const MAIL_WAITING_MAX: i64 = 10_000;

/// How many e-mails one read of the outbox returns.
pub const MAIL_LETTERS_PER_READ: i64 = 50;

/// How many e-mails are sent concurrently.
pub const MAIL_SENDS_AT_ONCE_MAX: usize = 4;

/// The timeout for sending one e-mail.
pub const MAIL_SEND_SECS_MAX: u64 = 60;

/// How many e-mails of one kind one recipient gets in an hour.
pub const MAIL_RECIPIENT_LETTERS_PER_HOUR: i64 = 3;

/// How many e-mails of one kind one recipient gets in a day.
pub const MAIL_RECIPIENT_LETTERS_PER_DAY: i64 = 10;

/// How many sign-in codes, and how many notices, one recipient gets in an hour.
pub const MAIL_RECIPIENT_SIGN_INS_PER_HOUR: i64 = 10;

/// How many sign-in codes, and how many notices, one recipient gets in a day.
pub const MAIL_RECIPIENT_SIGN_INS_PER_DAY: i64 = 30;

/// How many e-mails of all kinds one account causes in an hour.
pub const MAIL_ACCOUNT_LETTERS_PER_HOUR: i64 = 20;

/// How many e-mails of all kinds one account causes in a day.
pub const MAIL_ACCOUNT_LETTERS_PER_DAY: i64 = 60;

/// How many characters of a delivery error are stored.
pub const MAIL_ERROR_CHARS_MAX: usize = 300;

/// The longest token of a captcha, in bytes.
pub const CAPTCHA_TOKEN_BYTES_MAX: usize = 16 * 1024;

/// How many codes for phone numbers are held at once in development mode.
pub const DEV_PHONE_CODES_MAX: usize = 1000;

/// How many password hashes may wait for each worker.
pub const HASHES_WAITING_PER_WORKER_MAX: usize = 100;

/// How many of these may be of one address (IPv6: one /64).
pub const HASHES_WAITING_PER_ADDRESS_AND_WORKER_MAX: usize = 50;

/// How long a thread that hashes passwords is kept without work.
pub const HASH_THREAD_IDLE_SECS: u64 = 30;

/// How often the newest time seen is stored. Tokens that expired since the last store become valid again if the clock is
/// set back across a restart.
pub const NEWEST_TIME_KEPT_EVERY_SECS: u64 = 5 * 60;

/// How far the newest time seen may be ahead of the clock before it is taken for an error of the clock, in seconds.
pub const CLOCK_AHEAD_SECS_MAX: u64 = 24 * 60 * 60;

/// How many wrong administration credentials an address may show before it has to pause between them.
pub const ADMIN_TRIES_FREE: u32 = 5;

/// The longest of these pauses; each is twice as long as the one before, from one second on.
pub const ADMIN_PAUSE_SECS_MAX: u32 = 5 * 60;

/// After how long without a wrong credential an address's count is reset.
pub const ADMIN_TRIES_FORGOTTEN_SECS: u64 = 60 * 60;

/// How long wrong administration credentials of all addresses are counted together, in seconds.
pub const ADMIN_TRIES_WINDOW_SECS: u64 = 5 * 60;

/// How many wrong credentials of all addresses there may be in that time. Beyond it each address has one try.
pub const ADMIN_TRIES_OF_ALL_MAX: u32 = 60;

/// How many of them are logged one by one.
pub const ADMIN_TRIES_LOGGED_MAX: u32 = 100;

/// How many addresses that showed wrong administration credentials are kept.
pub const ADMIN_TRIES_ADDRESSES_MAX: usize = 4_096;

/// How many addresses with a cursor ahead of all events are remembered for the operator.
pub const FIREHOSE_AHEAD_ADDRESSES_MAX: usize = 32;

/// How often a cursor ahead of all events is told of in the log at most, in seconds.
pub const FIREHOSE_AHEAD_WARNING_EVERY_SECS: u64 = 10 * 60;

/// How far the sequence of events is raised when no number is given: more than a server gives out between two backups.
pub const SEQUENCE_RAISE_DEFAULT: i64 = 1_000_000;

/// The largest number that the sequence of events can be raised to by hand: half of all, for it can't be lowered.
pub const SEQUENCE_RAISE_MAX: i64 = allod_store::SEQ_MAX / 2;

/// How many uses of an invite code one page shows.
pub const INVITE_USES_PER_PAGE_MAX: i64 = 1000;

/// How many held handles one page lists.
pub const HELD_HANDLES_PER_PAGE_MAX: i64 = 1_000;

/// How long a job that panicked waits before it starts again, in seconds; it doubles.
pub const JOB_RESTART_SECS: u64 = 5;

/// The longest such wait, in seconds.
pub const JOB_RESTART_SECS_MAX: u64 = 10 * 60;

/// By how much at most a job comes later after an outage of what it depends on, in milliseconds.
pub const JOB_JITTER_MILLIS_MAX: u64 = 15_000;
