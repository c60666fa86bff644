//! The parts of a request that are read before its handler, for [`crate::fuzzing`].

use allod_lexicon::{
    com_atproto::{
        repo::list_records::ListRecords,
        sync::{get_blob::GetBlob, get_blocks::GetBlocks, list_repos::ListRepos},
    },
    schema::SchemaSet,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header::GetAll};

use super::{body, params};

pub(crate) fn undo_codings(codings: GetAll<'_, HeaderValue>, body: &[u8], bytes_max: usize) -> Option<Bytes> {
    body::coding::decode(codings, Bytes::copy_from_slice(body), bytes_max).ok()
}

pub(crate) fn media_type(headers: &HeaderMap) -> Option<String> {
    body::media_type(headers).map(str::to_owned)
}

pub(crate) fn query(schemas: &SchemaSet, text: &str) -> usize {
    let taken = [
        params::read::<ListRecords>(schemas, Some(text)).is_ok(),
        params::read::<GetBlob>(schemas, Some(text)).is_ok(),
        params::read::<GetBlocks>(schemas, Some(text)).is_ok(),
        params::read_filled::<ListRepos>(schemas, Some(text)).is_ok(),
    ];
    taken.into_iter().filter(|taken| *taken).count()
}
