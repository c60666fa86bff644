//! `com.atproto.sync.*`.

pub mod get_latest_commit;
pub mod get_repo;
pub mod get_repo_status;
pub mod subscribe_repos;
