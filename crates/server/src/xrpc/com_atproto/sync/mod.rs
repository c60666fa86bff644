//! `com.atproto.sync.*`.

pub mod get_blob;
pub mod get_blocks;
pub mod get_checkout;
pub mod get_head;
pub mod get_latest_commit;
pub mod get_record;
pub mod get_repo;
pub mod get_repo_status;
pub mod list_blobs;
pub mod list_repos;
pub mod list_repos_by_collection;
pub mod subscribe_repos;

use allod_http::body::StreamError;
use allod_lexicon::Method;
use futures_util::stream;
use http::HeaderValue;
use http_body::Frame;
use http_body_util::StreamBody;

use crate::{
    domain::repos::{RepoError, export::CarFile},
    xrpc::{XrpcError, XrpcResponse, XrpcResult},
};

/// The media type of a CAR file.
const CAR: HeaderValue = HeaderValue::from_static("application/vnd.ipld.car");

/// Answers a CAR file: at once if it is short, else piece by piece. What goes wrong before the first piece is an
/// error; later it can only be told by cutting the answer off.
async fn car<M: Method>(mut file: CarFile) -> XrpcResult<M>
where
    XrpcError<M::Error>: From<RepoError>,
{
    let first = file.next_chunk().await?.unwrap_or_default();
    if file.is_finished() {
        return Ok(XrpcResponse::bytes(CAR, first));
    }
    let chunks = stream::try_unfold((Some(first), file), async |(first, mut file)| {
        let chunk = match first {
            Some(first) => Some(first),
            None => file.next_chunk().await.map_err(cut_off)?,
        };
        Ok::<_, StreamError>(chunk.map(|chunk| (Frame::data(chunk), (None, file))))
    });
    Ok(XrpcResponse::stream(CAR, StreamBody::new(chunks)))
}

fn cut_off(error: RepoError) -> StreamError {
    tracing::warn!(%error, "a CAR file was cut off");
    error.into()
}
