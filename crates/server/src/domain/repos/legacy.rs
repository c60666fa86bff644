//! References to blobs in the form that was used before blobs had a type: `{cid, mimeType}`.
//!
//! Records that were written with them are brought here by imports. They are refused in new records, but whoever reads
//! such a record, changes something else in it and puts it back would be refused for what they did not touch: an update
//! of a known record has them brought into today's form.

use allod_atproto::{
    Cid, Did,
    cid::{Codec, Link},
    repo::RecordPath,
};
use allod_store::tables::{blobs, records};
use serde_json::{Value, json};

use crate::{app::App, domain::blobs::references::ReferenceError};

/// Brings the legacy references of a record that replaces one into today's form, with the size of the stored blob.
///
/// # Errors
/// [`ReferenceError::NotFound`] when a blob is not stored, and [`ReferenceError::Read`].
pub async fn upgrade(app: &App, did: &Did, path: &RecordPath, record: &mut Value) -> Result<(), ReferenceError> {
    let mut cids = Vec::new();
    visit(record, &mut |_, cid, _| cids.push(cid));
    if cids.is_empty() || app.schemas.record_key(path.collection()).is_none() {
        return Ok(());
    }
    if records::of_account(&*app.db, did, path).await?.is_none() {
        return Ok(());
    }
    let stored = blobs::by_cids(&*app.db, did, &cids).await?;
    let mut missing = None;
    visit(record, &mut |value, cid, mime_type| match stored
        .iter()
        .find(|blob| blob.cid == cid && blob.takedown_ref.is_none())
    {
        Some(blob) => {
            let link = json!({ "$link": cid.to_string() });
            *value = json!({ "$type": "blob", "ref": link, "mimeType": mime_type, "size": blob.size });
        }
        None => missing = missing.or(Some(cid)),
    });
    missing.map_or(Ok(()), |cid| Err(ReferenceError::NotFound(cid)))
}

/// Shows every legacy reference of a record to `seen`, with its CID and media type. The parser bounds how deep a record
/// is.
fn visit(value: &mut Value, seen: &mut impl FnMut(&mut Value, Cid, String)) {
    if let Some((cid, mime_type)) = legacy(value) {
        seen(value, cid, mime_type);
        return;
    }
    match value {
        Value::Object(fields) => fields.iter_mut().for_each(|(_, value)| visit(value, seen)),
        Value::Array(elements) => elements.iter_mut().for_each(|value| visit(value, seen)),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn legacy(value: &Value) -> Option<(Cid, String)> {
    let fields = value.as_object().filter(|fields| fields.len() == 2)?;
    let (cid, mime_type) = (fields.get("cid")?.as_str()?, fields.get("mimeType")?.as_str()?);
    let cid = Link::parse(cid).ok()?.cid().filter(|cid| cid.codec() == Codec::Raw)?;
    (!mime_type.is_empty()).then(|| (cid, mime_type.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RAW: &str = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";

    #[test]
    fn legacy_references_are_found_at_any_depth_and_nothing_else_is() {
        let old = json!({ "cid": RAW, "mimeType": "image/png" });
        let mut record = json!({
            "avatar": old,
            "embed": { "images": [{ "image": old, "alt": "" }] },
            "typed": { "$type": "blob", "ref": { "$link": RAW }, "mimeType": "image/png", "size": 1 },
            "three": { "cid": RAW, "mimeType": "image/png", "size": 5 },
            "no cid": { "cid": "x", "mimeType": "image/png" },
            "strong": { "uri": "at://x", "cid": RAW },
        });
        let mut found = Vec::new();
        visit(&mut record, &mut |_, cid, mime_type| found.push((cid.to_string(), mime_type)));
        assert_eq!(found, vec![(RAW.to_owned(), "image/png".to_owned()); 2]);
    }
}
