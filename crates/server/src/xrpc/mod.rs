//! The API: one file per method at the path of its name, and the table that lists them.

pub mod app_bsky;
pub mod auth;
mod body;
pub mod com_atproto;
pub mod error;
pub(crate) mod fuzzing;
mod health;
mod params;
mod range;
pub mod rate_limit;
pub mod request;
pub mod response;
pub mod route;

use allod_lexicon::schema::SchemaSet;

use crate::{app::App, config::RateLimitConfig, domain::rate_limits::RateLimits, limits};

pub use error::{CommonError, XrpcError};
pub use health::health;
pub use request::{XrpcRequest, XrpcSubscription};
pub use response::XrpcResponse;
pub use route::{
    Route, RouteState, Routes, SubscriptionResult, XrpcResult, limited, limited_with, route, subscription,
};

/// Lists every method this server answers.
pub fn routes() -> Routes<App> {
    use app_bsky::actor;
    use com_atproto::{account, admin, identity, repo, server, sync, temp};
    use limits::JSON_RECORD_BYTES_MAX;
    use rate_limit::rules;

    Routes::new([
        route(account::create::handler),
        route(account::create_invite_code::handler),
        route(account::delete::handler),
        route(account::get::handler),
        limited(account::request_password_reset::handler, &rules::OLD_REQUEST_PASSWORD_RESET),
        limited(account::reset_password::handler, &rules::OLD_RESET_PASSWORD),
        route(admin::delete_account::handler),
        route(admin::update_account_handle::handler),
        route(admin::update_account_signing_key::handler),
        route(admin::disable_account_invites::handler),
        route(admin::disable_invite_codes::handler),
        route(admin::enable_account_invites::handler),
        route(admin::get_account_info::handler),
        route(admin::get_account_infos::handler),
        route(admin::get_invite_codes::handler),
        route(admin::get_subject_status::handler),
        route(admin::search_accounts::handler),
        route(admin::send_email::handler),
        route(admin::update_account_email::handler),
        route(admin::update_account_password::handler),
        route(admin::update_subject_status::handler),
        route(actor::get_preferences::handler),
        route(actor::put_preferences::handler),
        route(identity::get_recommended_did_credentials::handler),
        limited(identity::refresh_identity::handler, &rules::REFRESH_IDENTITY),
        route(identity::request_plc_operation_signature::handler),
        route(identity::resolve_did::handler),
        route(identity::resolve_handle::handler),
        route(identity::resolve_identity::handler),
        route(identity::sign_plc_operation::handler),
        route(identity::submit_plc_operation::handler),
        limited(identity::update_handle::handler, &rules::UPDATE_HANDLE),
        limited_with(repo::apply_writes::handler, &rules::APPLY_WRITES, JSON_RECORD_BYTES_MAX),
        limited_with(repo::create_record::handler, &rules::CREATE_RECORD, JSON_RECORD_BYTES_MAX),
        limited(repo::delete_record::handler, &rules::DELETE_RECORD),
        route(repo::describe_repo::handler),
        route(repo::get_record::handler),
        route(repo::import_repo::handler),
        route(repo::list_missing_blobs::handler),
        route(repo::list_records::handler),
        limited_with(repo::put_record::handler, &rules::PUT_RECORD, JSON_RECORD_BYTES_MAX),
        limited(repo::upload_blob::handler, &rules::UPLOAD_BLOB),
        route(server::activate_account::handler),
        route(server::check_account_status::handler),
        limited(server::confirm_email::handler, &rules::CONFIRM_EMAIL),
        limited(server::create_account::handler, &rules::CREATE_ACCOUNT),
        route(server::create_app_password::handler),
        route(server::create_invite_code::handler),
        route(server::create_invite_codes::handler),
        limited(server::create_session::handler, &rules::CREATE_SESSION),
        route(server::deactivate_account::handler),
        limited(server::delete_account::handler, &rules::DELETE_ACCOUNT),
        route(server::delete_session::handler),
        route(server::describe_server::handler),
        route(server::get_account_invite_codes::handler),
        route(server::get_service_auth::handler),
        route(server::get_session::handler),
        route(server::list_app_passwords::handler),
        route(server::refresh_session::handler),
        limited(server::request_account_delete::handler, &rules::REQUEST_ACCOUNT_DELETE),
        limited(server::request_email_confirmation::handler, &rules::REQUEST_EMAIL_CONFIRMATION),
        limited(server::request_email_update::handler, &rules::REQUEST_EMAIL_UPDATE),
        limited(server::request_password_reset::handler, &rules::REQUEST_PASSWORD_RESET),
        route(server::reserve_signing_key::handler),
        limited(server::reset_password::handler, &rules::RESET_PASSWORD),
        route(server::revoke_app_password::handler),
        limited(server::update_email::handler, &rules::UPDATE_EMAIL),
        route(sync::get_blob::handler),
        route(sync::get_blocks::handler),
        route(sync::get_checkout::handler),
        route(sync::get_head::handler),
        route(sync::get_latest_commit::handler),
        route(sync::get_record::handler),
        limited(sync::get_repo::handler, &rules::GET_REPO),
        route(sync::get_repo_status::handler),
        route(sync::list_blobs::handler),
        route(sync::list_repos::handler),
        route(sync::list_repos_by_collection::handler),
        subscription(sync::subscribe_repos::handler),
        route(temp::add_reserved_handle::handler),
        route(temp::check_handle_availability::handler),
        route(temp::check_signup_queue::handler),
        route(temp::revoke_account_credentials::handler),
        limited(temp::request_phone_verification::handler, &rules::REQUEST_PHONE_VERIFICATION),
    ])
}

impl RouteState for App {
    fn schemas(&self) -> &SchemaSet {
        &self.schemas
    }

    fn rate_limits(&self) -> Option<(&RateLimits, &RateLimitConfig)> {
        Some((&self.rate_limits, &self.config.rate_limits))
    }
}

#[cfg(test)]
mod tests;
