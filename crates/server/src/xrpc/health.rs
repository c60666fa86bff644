//! `/xrpc/_health`: whether the server runs and its store answers. Not a lexicon's method.

use std::sync::Arc;

use http::{Response, StatusCode};
use serde_json::json;

use crate::{
    app::App,
    http::{body::ResponseBody, reply},
};

/// Answers the version, with 503 when the store can't be read.
pub async fn health(app: &Arc<App>) -> Response<ResponseBody> {
    let version = &app.config.service.version;
    let newest = *app.db.watch().borrow();
    match app.db.events(newest, 1).await {
        Ok(_) => reply::bytes(StatusCode::OK, reply::JSON, json!({ "version": version }).to_string()),
        Err(error) => {
            tracing::error!(%error, "the store can't be read");
            let body = json!({ "version": version, "error": "Service Unavailable" });
            reply::bytes(StatusCode::SERVICE_UNAVAILABLE, reply::JSON, body.to_string())
        }
    }
}
