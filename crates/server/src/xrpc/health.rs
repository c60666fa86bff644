//! `/xrpc/_health`: whether the server runs, and its store answers and takes writes. Not a lexicon's method.

use std::sync::Arc;

use allod_http::body::ResponseBody;
use http::{Response, StatusCode};
use serde_json::json;

use crate::{app::App, reply};

/// Answers the version, with 503 and a reason when the store can't be read or takes no writes.
pub async fn health(app: &Arc<App>) -> Response<ResponseBody> {
    let version = &app.config.service.version;
    let Some(reason) = reason(app).await else {
        return reply::bytes(StatusCode::OK, reply::JSON, json!({ "version": version }).to_string());
    };
    let body = json!({ "version": version, "error": "Service Unavailable", "reason": reason });
    reply::bytes(StatusCode::SERVICE_UNAVAILABLE, reply::JSON, body.to_string())
}

/// Why the server is not well, as far as anybody may know it: `allod status` tells the operator more.
async fn reason(app: &Arc<App>) -> Option<&'static str> {
    if app.db.state().failed.is_some() {
        return Some("The store takes no writes until the server is restarted");
    }
    let newest = *app.db.watch().borrow();
    match app.db.events(newest, 1).await {
        Ok(_) => None,
        Err(error) => {
            tracing::error!(%error, "the store can't be read");
            Some("The store can't be read")
        }
    }
}
