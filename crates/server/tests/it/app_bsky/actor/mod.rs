//! `app.bsky.actor.*`.

mod get_preferences;
mod put_preferences;
