//! What an account is and may do. Knows nothing of HTTP and names no engine.

pub mod accounts;
pub mod administration;
pub mod blobs;
pub mod clock;
pub mod email_codes;
pub mod emails;
pub mod firehose;
pub mod handles;
pub mod identity;
pub mod invites;
pub mod keyed_hash;
pub mod keys;
pub mod mail;
pub mod moderation;
pub mod passwords;
pub mod preferences;
pub mod randomness;
pub mod rate_limits;
pub mod remembered;
pub mod repos;
pub mod reserved_keys;
pub mod secret;
pub mod service_auth;
pub mod sessions;
pub mod sign_up;
