//! `app.bsky.*`.

mod actor;
