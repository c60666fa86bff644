//! What a browser is shown: a banner, robots.txt and, in dev mode, captured mail.

mod mail;

use std::sync::Arc;

use allod_http::{body::ResponseBody, host::Host};
use http::{Method, Response, StatusCode, request::Parts};

use crate::{app::App, reply};

const ROBOTS: &str = "# Allod serves public data over its API.\nUser-agent: *\nAllow: /\n";

/// Answers every path that is neither the API's nor a well-known one.
pub fn answer(app: &Arc<App>, parts: &Parts, host: Option<&Host<'_>>) -> Response<ResponseBody> {
    if parts.method != Method::GET && parts.method != Method::HEAD {
        return not_found();
    }
    match (parts.uri.path(), &app.mailbox) {
        ("/", _) => reply::text(StatusCode::OK, banner(app)),
        ("/robots.txt", _) => reply::text(StatusCode::OK, ROBOTS),
        ("/dev/mail", Some(mailbox)) if is_own(app, host) => mail::show(mailbox, parts.uri.query()),
        ("/dev/mail", Some(_)) => reply::text(
            StatusCode::MISDIRECTED_REQUEST,
            "Captured mail is shown to requests for this server's own host name, localhost or an IP address only.\n",
        ),
        _ => not_found(),
    }
}

/// Tells whether a request is for this server by a name that a stranger can't point at it. A web page whose own domain
/// resolves to this machine (DNS rebinding) names that domain; no page can name an address that isn't its own.
fn is_own(app: &App, host: Option<&Host<'_>>) -> bool {
    host.is_some_and(|host| host.address().is_some() || host.is("localhost") || host.is(&app.config.service.hostname))
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
