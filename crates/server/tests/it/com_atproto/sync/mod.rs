//! `com.atproto.sync.*`.

mod get_latest_commit;
mod get_repo;
mod get_repo_status;
mod subscribe_repos;
