//! Query parameters: parsed, checked against the lexicon, then typed.

use allod_atproto::Cid;
use allod_lexicon::{Method, method::NoErrors, schema::SchemaSet};
use url::form_urlencoded;

use super::error::XrpcError;
use crate::limits;

/// Reads a method's parameters. Unknown ones are ignored; `key[]` is taken for `key`.
pub(super) fn read<M: Method>(schemas: &SchemaSet, query: Option<&str>) -> Result<M::Params, XrpcError<NoErrors>> {
    let pairs = pairs(query.unwrap_or_default())?;
    let params = schemas.validate_params(M::NSID, &pairs).map_err(|invalid| {
        XrpcError::invalid_request(format!("Invalid {} params: {}", M::NSID, invalid.without_place()))
    })?;
    // What the schema takes the type takes; where it does not, it is still the client's value that is wrong.
    serde_json::from_value(params)
        .map_err(|error| XrpcError::invalid_request(format!("Invalid {} params: {error}", M::NSID)))
}

/// As [`read`], for a stream: an empty value counts as none, as consumers of the reference expect of `cursor=`.
pub(super) fn read_filled<M: Method>(
    schemas: &SchemaSet,
    query: Option<&str>,
) -> Result<M::Params, XrpcError<NoErrors>> {
    let filled: Vec<&str> = query.unwrap_or_default().split('&').filter(|pair| !pair.ends_with('=')).collect();
    read::<M>(schemas, Some(&filled.join("&")))
}

/// Reads a cursor that is the last CID of the page before.
pub(super) fn cid_cursor(cursor: Option<&str>) -> Result<Option<Cid>, XrpcError<NoErrors>> {
    cursor.map(Cid::parse).transpose().map_err(|_| XrpcError::invalid_request("Malformed cursor"))
}

fn pairs(query: &str) -> Result<Vec<(String, String)>, XrpcError<NoErrors>> {
    let mut pairs = Vec::new();
    for (key, value) in form_urlencoded::parse(query.as_bytes()) {
        if pairs.len() == limits::QUERY_PARAMS_MAX {
            let message = format!("Too many query parameters (maximum {})", limits::QUERY_PARAMS_MAX);
            return Err(XrpcError::invalid_request(message));
        }
        let key = key.strip_suffix("[]").map_or_else(|| key.to_string(), str::to_owned);
        pairs.push((key, value.into_owned()));
    }
    Ok(pairs)
}
