//! What a browser is shown: a banner, robots.txt and, in dev mode, captured mail.

mod mail;

use std::sync::Arc;

use http::{Method, Response, StatusCode, request::Parts};

use crate::{
    app::App,
    http::{body::ResponseBody, reply},
};

const ROBOTS: &str = "# Allod serves public data over its API.\nUser-agent: *\nAllow: /\n";

/// Answers every path that is neither the API's nor a well-known one.
pub fn answer(app: &Arc<App>, parts: &Parts) -> Response<ResponseBody> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return not_found();
    }
    match (parts.uri.path(), &app.mailbox) {
        ("/", _) => reply::text(StatusCode::OK, banner(app)),
        ("/robots.txt", _) => reply::text(StatusCode::OK, ROBOTS),
        ("/dev/mail", Some(mailbox)) => mail::show(mailbox, parts.uri.query()),
        _ => not_found(),
    }
}

fn banner(app: &Arc<App>) -> String {
    let service = &app.config.service;
    format!(
        "Allod {}\n\nThis is an AT Protocol Personal Data Server (PDS).\n\n\
         Most of its API is under /xrpc/; it describes itself at\n{}/xrpc/com.atproto.server.describeServer\n",
        service.version, service.public_url
    )
}

fn not_found() -> Response<ResponseBody> {
    reply::error(StatusCode::NOT_FOUND, "NotFound", "Not Found")
}
