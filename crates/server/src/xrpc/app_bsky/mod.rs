//! `app.bsky.*`: what a PDS answers itself.

pub mod actor;
