//! The API: one file per method at the path of its name, and the table that lists them.

pub mod auth;
mod body;
pub mod com_atproto;
pub mod error;
mod health;
mod params;
pub mod request;
pub mod response;
pub mod route;

use crate::app::App;

pub use error::{CommonError, XrpcError};
pub use health::health;
pub use request::XrpcRequest;
pub use response::XrpcResponse;
pub use route::{Route, Routes, XrpcResult, route, route_with_limit};

/// Lists every method this server answers.
pub fn routes() -> Routes<App> {
    use com_atproto::server;

    Routes::new([route(server::describe_server::handler)])
}

#[cfg(test)]
mod tests;
