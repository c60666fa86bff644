//! The API: one file per method at the path of its name, and the table that lists them.

pub mod auth;
mod body;
pub mod com_atproto;
pub mod error;
mod health;
mod params;
mod range;
pub mod request;
pub mod response;
pub mod route;

use crate::{app::App, limits};

pub use error::{CommonError, XrpcError};
pub use health::health;
pub use request::{XrpcRequest, XrpcSubscription};
pub use response::XrpcResponse;
pub use route::{Route, Routes, SubscriptionResult, XrpcResult, route, route_with_limit, subscription};

/// Lists every method this server answers.
pub fn routes() -> Routes<App> {
    use com_atproto::{account, identity, repo, server, sync};
    use limits::JSON_RECORD_BYTES_MAX;

    Routes::new([
        route(account::create::handler),
        route(account::create_invite_code::handler),
        route(account::get::handler),
        route(identity::resolve_handle::handler),
        route_with_limit(repo::apply_writes::handler, JSON_RECORD_BYTES_MAX),
        route_with_limit(repo::create_record::handler, JSON_RECORD_BYTES_MAX),
        route(repo::delete_record::handler),
        route(repo::describe_repo::handler),
        route(repo::get_record::handler),
        route(repo::import_repo::handler),
        route(repo::list_missing_blobs::handler),
        route(repo::list_records::handler),
        route_with_limit(repo::put_record::handler, JSON_RECORD_BYTES_MAX),
        route(repo::upload_blob::handler),
        route(server::create_account::handler),
        route(server::create_app_password::handler),
        route(server::create_invite_code::handler),
        route(server::create_invite_codes::handler),
        route(server::create_session::handler),
        route(server::delete_session::handler),
        route(server::describe_server::handler),
        route(server::get_service_auth::handler),
        route(server::get_session::handler),
        route(server::list_app_passwords::handler),
        route(server::refresh_session::handler),
        route(server::reserve_signing_key::handler),
        route(server::revoke_app_password::handler),
        route(sync::get_blob::handler),
        route(sync::get_blocks::handler),
        route(sync::get_checkout::handler),
        route(sync::get_head::handler),
        route(sync::get_latest_commit::handler),
        route(sync::get_record::handler),
        route(sync::get_repo::handler),
        route(sync::get_repo_status::handler),
        route(sync::list_blobs::handler),
        route(sync::list_repos::handler),
        route(sync::list_repos_by_collection::handler),
        subscription(sync::subscribe_repos::handler),
    ])
}

#[cfg(test)]
mod tests;
