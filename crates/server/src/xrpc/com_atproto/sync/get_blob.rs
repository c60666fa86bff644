//! `com.atproto.sync.getBlob`: a blob's bytes, whole or in part.
//!
//! Lexicon: `lexicons/com/atproto/sync/getBlob.json`. Spec: <https://atproto.com/specs/blob#security-considerations>

use std::{ops::Range, sync::Arc};

use allod_blobstore::objects::Opened;
use allod_http::body::StreamError;
use allod_lexicon::com_atproto::sync::get_blob::GetBlob;
use allod_store::tables::blobs::Blob;
use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{
        ACCEPT_RANGES, CACHE_CONTROL, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_SECURITY_POLICY,
        ETAG, X_CONTENT_TYPE_OPTIONS,
    },
};
use http_body::Frame;
use http_body_util::StreamBody;
use serde_json::json;

use crate::{
    app::App,
    domain::{
        blobs::read::Found,
        repos::{self, Reader},
    },
    reply,
    xrpc::{
        XrpcError, XrpcRequest, XrpcResponse, XrpcResult,
        auth::RepoReader,
        range::{self, Asked},
    },
};

/// Bytes that anybody uploaded must not act in anybody's browser as ours.
const SAFETY: [(HeaderName, HeaderValue); 3] = [
    (CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; sandbox")),
    (X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("cross-origin")),
];

/// What anybody may see caches may keep, but only so long that a takedown is soon seen.
const PUBLIC_CACHING: HeaderValue = HeaderValue::from_static("public, max-age=300");
const PRIVATE_CACHING: HeaderValue = HeaderValue::from_static("private, max-age=300");

const NAME_OF_UNKNOWN_TYPE: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// Shows the bytes as they were uploaded.
pub async fn handler(app: Arc<App>, request: XrpcRequest<GetBlob, RepoReader>) -> XrpcResult<GetBlob> {
    let (did, RepoReader(reader)) = (request.params.did, request.auth);
    let found = repos::blobs::find(&app, &did, &request.params.cid, &reader).await?;
    let blob = &found.blob;
    let etag = format!("\"{}\"", blob.cid);
    let response = if range::is_known(&request.headers, &etag) {
        XrpcResponse::bytes(content_type(&found), Bytes::new()).status(StatusCode::NOT_MODIFIED)
    } else {
        match range::asked(&request.headers, blob.size, &etag) {
            Asked::Whole => whole(&found, app.blobs.open(&did, &found, 0..blob.size).await?),
            Asked::Part(part) => {
                let opened = app.blobs.open(&did, &found, part.clone()).await?;
                let shown = header(&format!("bytes {}-{}/{}", part.start, part.end.saturating_sub(1), blob.size))?;
                body(&found, &part, opened).status(StatusCode::PARTIAL_CONTENT).header(CONTENT_RANGE, shown)
            }
            Asked::Outside => outside(blob)?,
        }
    };
    let caching = if reader == Reader::Public { PUBLIC_CACHING } else { PRIVATE_CACHING };
    let disposition = header(&format!("attachment; filename=\"{}\"", blob.cid))?;
    let response = response
        .header(ETAG, header(&etag)?)
        .header(CACHE_CONTROL, caching)
        .header(ACCEPT_RANGES, HeaderValue::from_static("bytes"))
        .header(CONTENT_DISPOSITION, disposition);
    Ok(SAFETY.into_iter().fold(response, |response, (name, value)| response.header(name, value)))
}

fn whole(found: &Found, opened: Opened) -> XrpcResponse<GetBlob> {
    body(found, &(0..found.blob.size), opened)
}

fn body(found: &Found, part: &Range<u64>, opened: Opened) -> XrpcResponse<GetBlob> {
    let content_type = content_type(found);
    let Opened { first, rest, .. } = opened;
    let response = match rest {
        None => XrpcResponse::bytes(content_type, first),
        Some(rest) => {
            let pieces = stream::iter([Ok(first)]).chain(rest.map_err(StreamError::from));
            XrpcResponse::stream(content_type, StreamBody::new(pieces.map_ok(Frame::data)))
        }
    };
    response.header(CONTENT_LENGTH, HeaderValue::from(part.end.saturating_sub(part.start)))
}

/// Refuses a part that is not there; the client reads how many bytes there are.
fn outside(blob: &Blob) -> Result<XrpcResponse<GetBlob>, XrpcError<<GetBlob as allod_lexicon::Method>::Error>> {
    let refusal = json!({ "error": "InvalidRequest", "message": "The blob has no bytes in this range" });
    let shown = header(&format!("bytes */{}", blob.size))?;
    let response = XrpcResponse::bytes(reply::JSON, refusal.to_string());
    Ok(response.status(StatusCode::RANGE_NOT_SATISFIABLE).header(CONTENT_RANGE, shown))
}

fn content_type(found: &Found) -> HeaderValue {
    HeaderValue::from_str(&found.mime_type).unwrap_or(NAME_OF_UNKNOWN_TYPE)
}

fn header<E>(text: &str) -> Result<HeaderValue, XrpcError<E>> {
    HeaderValue::from_str(text).map_err(XrpcError::internal)
}
