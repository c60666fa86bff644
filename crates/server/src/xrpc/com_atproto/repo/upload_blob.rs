//! `com.atproto.repo.uploadBlob`: takes a blob in, to be referred to by a record.
//!
//! Lexicon: `lexicons/com/atproto/repo/uploadBlob.json`. Spec: <https://atproto.com/specs/blob>

use std::sync::Arc;

use allod_atproto::Did;
use allod_http::body::RequestBody;
use allod_lexicon::{
    com_atproto::repo::upload_blob::{Output, UploadBlob},
    method::NoErrors,
    wire::{Blob, CidLink},
};
use http::{HeaderMap, header::CONTENT_ENCODING};
use http_body_util::BodyExt as _;

use crate::{
    app::App,
    domain::{
        blobs::{references::BlobRef, upload::Upload},
        shares::Taker,
    },
    limits::{UPLOAD_BYTES_PER_SEC_MIN, UPLOAD_SECS_MAX},
    xrpc::{XrpcError, XrpcRequest, XrpcResponse, XrpcResult, auth::Uploader, body, route},
};

/// Takes the bytes as they come and answers when the blob is durable.
pub async fn handler(app: Arc<App>, request: XrpcRequest<UploadBlob, Uploader>) -> XrpcResult<UploadBlob> {
    let XrpcRequest { auth: Uploader(did), headers, raw_body, context, .. } = request;
    let mut sent = raw_body.at_pace(UPLOAD_BYTES_PER_SEC_MIN, UPLOAD_SECS_MAX);
    let taker = context.taker(Some(&did));
    match take(&app, &did, &taker, &headers, &mut sent).await {
        Ok(BlobRef { cid, mime_type, size }) => {
            Ok(XrpcResponse::new(Output { blob: Blob { link: CidLink(cid), mime_type, size } }))
        }
        Err(error) => {
            route::drain(&headers, sent).await;
            Err(error)
        }
    }
}

async fn take(
    app: &App,
    did: &Did,
    taker: &Taker,
    headers: &HeaderMap,
    sent: &mut RequestBody,
) -> Result<BlobRef, XrpcError<NoErrors>> {
    let decoder = body::coding::decoder(headers.get_all(CONTENT_ENCODING))?;
    let declared_bytes = body::declared_bytes(headers);
    let mut upload = Upload::begin(&app.blobs, did, taker, declared_bytes)?;
    while let Some(frame) = sent.frame().await {
        if let Ok(piece) = frame.map_err(|error| body::refuse_broken(&error))?.into_data() {
            upload.push(piece).await?;
        }
    }
    if declared_bytes.is_some_and(|bytes| bytes != upload.bytes()) {
        return Err(XrpcError::invalid_request("the body has another length than Content-Length says"));
    }
    let said = body::media_type(headers).unwrap_or("application/octet-stream");
    Ok(upload.finish(said, decoder).await?)
}
