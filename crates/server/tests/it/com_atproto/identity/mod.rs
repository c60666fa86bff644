//! `com.atproto.identity.*`.

mod get_recommended_did_credentials;
mod refresh_identity;
mod request_plc_operation_signature;
mod resolve_did;
mod resolve_handle;
mod resolve_identity;
mod sign_plc_operation;
mod submit_plc_operation;
mod update_handle;
