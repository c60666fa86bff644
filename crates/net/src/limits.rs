//! Every bound on outbound connections, lookups and caches. Units are in the names.

/// How long resolving one name may take, in milliseconds.
pub const DNS_LOOKUP_MILLIS_MAX: u64 = 2_500;

/// How long to wait for the other address family (IPv4, IPv6) once an address is known, in milliseconds.
pub const DNS_OTHER_FAMILY_MILLIS: u64 = 200;

/// How many DNS answers are cached.
pub const DNS_CACHED_ANSWERS_MAX: u64 = 4_096;

/// How many queries wait for a nameserver at once.
pub const DNS_QUERIES_AT_ONCE_MAX: usize = 4 * LOOKUPS_MAX;

/// How often `/etc/hosts` and `/etc/resolv.conf` are checked for changes, in milliseconds.
pub const DNS_FILES_CHECKED_MILLIS: u64 = 5_000;

/// How many identities are looked up at once for clients; further lookups fail at once.
pub const LOOKUPS_MAX: usize = 256;

/// How many of these may be for one client address (IPv6: one /64).
pub const LOOKUPS_PER_CLIENT_MAX: usize = 32;

/// How many of these may ask one site, which is about a registrable domain.
pub const LOOKUPS_PER_SITE_MAX: usize = 32;

/// How many of these may ask the did:plc directory.
pub const LOOKUPS_OF_DIRECTORY_MAX: usize = 128;

/// How long the lookup of one handle or DID document may take, in milliseconds.
pub const LOOKUP_MILLIS_MAX: u64 = 5_000;

/// How long a quick lookup of a DID document may take, in milliseconds.
pub const QUICK_LOOKUP_MILLIS_MAX: u64 = 1_000;

/// How many quick lookups run at once.
pub const QUICK_LOOKUPS_MAX: usize = 16;

/// How long a failed quick lookup is not repeated, in seconds.
pub const QUICK_LOOKUP_PAUSE_SECS: u64 = 30;

/// How many DID documents are cached.
pub const CACHED_DOCUMENTS_MAX: usize = 2_000;

/// The age up to which a cached document is used without a new lookup, in seconds.
pub const DOCUMENT_FRESH_SECS: u64 = 60 * 60;

/// The age up to which a cached document is used when a new lookup fails, in seconds.
pub const DOCUMENT_USABLE_SECS: u64 = 24 * 60 * 60;

/// How many handles are cached with their DIDs.
pub const CACHED_HANDLES_MAX: usize = 10_000;

/// The age up to which a handle's cached DID is used without a new lookup, in seconds.
pub const HANDLE_FRESH_SECS: u64 = 10 * 60;

/// The age up to which a handle is not looked up again that resolved to no DID, in seconds.
pub const NO_HANDLE_FRESH_SECS: u64 = 60;

/// The largest DID document read, in bytes.
pub const DOCUMENT_BYTES_MAX: usize = 64 * 1024;

/// The largest answer of a handle's well-known address, in bytes.
pub const WELL_KNOWN_DID_BYTES_MAX: usize = 2 * 1024;

/// How long connecting to an address of others may take, in seconds.
pub const CONNECT_TIMEOUT_SECS: u64 = 3;

/// How long a POST to an address of others may take in all, in seconds. A relay connects back before it answers.
pub const POST_TIMEOUT_SECS: u64 = 10;

/// How long connecting to a service of the operator's choice may take, in seconds.
pub const OPERATOR_CONNECT_SECS_MAX: u64 = 3;

/// How long such a service may take to answer a form, in seconds.
pub const FORM_TIMEOUT_SECS: u64 = 10;

/// The largest answer to a form, in bytes.
pub const FORM_ANSWER_BYTES_MAX: usize = 64 * 1024;
