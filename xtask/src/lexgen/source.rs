//! Reads the lexicons, and applies the places where Allod's wire types differ from them.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::LexgenError;

/// The folders whose lexicons get wire types, below `lexicons/`.
const TYPED_FOLDERS: [&str; 2] = ["com/atproto", "legacy/com/atproto"];

/// String fields whose format neither the types nor the schema set check, as method and input field.
///
/// Sign-up and handle change answer `InvalidHandle` for text that is no handle, so it has to get past the schema.
const UNCHECKED_FORMATS: [(&str, &str); 2] =
    [("com.atproto.server.createAccount", "handle"), ("com.atproto.identity.updateHandle", "handle")];

/// One lexicon.
pub(super) struct Source {
    /// The lexicon's NSID.
    pub(super) nsid: String,
    /// The document, with Allod's own changes applied.
    pub(super) document: Value,
}

impl Source {
    /// Lists the definitions by name, in the document's order.
    pub(super) fn definitions(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.document["defs"].as_object().into_iter().flatten().map(|(name, definition)| (name.as_str(), definition))
    }

    /// Gives the definition of a name.
    pub(super) fn definition(&self, name: &str) -> Option<&Value> {
        self.document["defs"].get(name)
    }
}

/// Reads every lexicon that gets wire types, sorted by NSID.
pub(super) fn read_typed(lexicons: &Path) -> Result<Vec<Source>, LexgenError> {
    read_below(TYPED_FOLDERS.map(|folder| lexicons.join(folder)).to_vec())
}

/// Reads every lexicon there is, sorted by NSID.
pub(super) fn read_every(lexicons: &Path) -> Result<Vec<Source>, LexgenError> {
    read_below(vec![lexicons.to_path_buf()])
}

fn read_below(mut waiting: Vec<PathBuf>) -> Result<Vec<Source>, LexgenError> {
    let mut sources = Vec::new();
    while let Some(current) = waiting.pop() {
        let failed = |source| LexgenError::File { path: current.clone(), source };
        for entry in fs::read_dir(&current).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.extension().is_some_and(|extension| extension == "json") {
                sources.push(read(path)?);
            }
        }
    }
    sources.sort_by(|a, b| a.nsid.cmp(&b.nsid));
    Ok(sources)
}

fn read(path: PathBuf) -> Result<Source, LexgenError> {
    let text = fs::read(&path).map_err(|source| LexgenError::File { path: path.clone(), source })?;
    #[expect(clippy::disallowed_methods, reason = "the documents are checked in")]
    let mut document: Value = serde_json::from_slice(&text).map_err(|source| LexgenError::Json { path, source })?;
    let nsid = document["id"].as_str().unwrap_or_default().to_owned();
    for (_, field) in UNCHECKED_FORMATS.iter().filter(|(method, _)| *method == nsid) {
        document
            .pointer_mut(&format!("/defs/main/input/schema/properties/{field}"))
            .and_then(Value::as_object_mut)
            .and_then(|schema| schema.remove("format"))
            .ok_or_else(|| LexgenError::lexicon(&nsid, format!("input has no format for {field:?}")))?;
    }
    Ok(Source { nsid, document })
}
