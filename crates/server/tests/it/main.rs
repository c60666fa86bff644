//! The server from outside, over HTTP: one module for each endpoint, at the path of its name.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "what a test can't do or find fails it")]

mod addresses;
mod admin_guessing;
mod admin_tokens;
mod app_bsky;
mod authorisation;
mod black_holes;
mod blobs;
mod clock_set_back;
mod com_atproto;
mod contention;
mod deletion;
mod did_web;
mod disk_faults;
mod elsewhere;
mod form_server;
mod held_handles;
mod histories;
mod hostile_json;
mod hosts;
mod identity_faults;
mod integrity;
mod jetstream;
mod key_rotation;
mod load;
mod mail;
mod mailed_codes;
mod migration_faults;
mod model;
mod owners_rotation_keys;
mod panics;
mod phones;
mod published_lexicon;
mod rate_limits;
mod recovery_keys;
mod relays;
mod seen;
mod sign_in_notices;
mod sign_up_faults;
mod sign_up_queue;
mod smtp;
mod store_faults;
mod stored_emails;
mod takedowns;
mod ways_to_a_session;
