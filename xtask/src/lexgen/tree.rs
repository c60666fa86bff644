//! Writes the files above the lexicons' own modules: the `mod.rs` tree, the list of methods and the embedded documents.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::module::HEAD;
use super::source::Source;
use super::{Files, LexgenError, method, names};

/// Writes every `mod.rs`, `methods.rs` and `documents.rs`.
pub(super) fn modules(sources: &[Source], records: &[Source]) -> Result<Files, LexgenError> {
    let mut children: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources {
        let path = names::modules(&source.nsid);
        for depth in 1..path.len() {
            let (folder, rest) = path.split_at(depth);
            if let Some(child) = rest.first() {
                children.entry(folder.join("/")).or_default().insert(child.clone());
            }
        }
    }
    let mut files: Files = children
        .into_iter()
        .map(|(folder, children)| {
            let group = folder.replace(['_', '/'], ".");
            let mut text = format!("{HEAD}: the lexicons of `{group}`.\n\n");
            for child in children {
                text += &format!("pub mod {child};\n");
            }
            (format!("{folder}/mod.rs"), text)
        })
        .collect();
    files.insert("mod.rs".to_owned(), root(sources));
    files.insert("methods.rs".to_owned(), methods(sources));
    files.insert("documents.rs".to_owned(), documents(sources, records)?);
    Ok(files)
}

fn root(sources: &[Source]) -> String {
    let authorities: BTreeSet<String> =
        sources.iter().filter_map(|source| names::modules(&source.nsid).into_iter().next()).collect();
    let mut text = format!("{HEAD}: the modules of every lexicon in `lexicons/` that has wire types.\n\n");
    for authority in authorities {
        text += &format!("pub mod {authority};\n");
    }
    text + "pub(crate) mod documents;\npub(crate) mod methods;\n"
}

/// Writes the list of all methods, and the macro by which tests reach each method's types.
fn methods(sources: &[Source]) -> String {
    let mut table = String::new();
    let mut macro_lines = String::new();
    let mut count = 0;
    for source in sources {
        let main = source.definition("main").unwrap_or(&Value::Null);
        if method::kind(main).is_some() {
            count += 1;
            let path = names::item_path(&source.nsid, &names::pascal(names::last(&source.nsid)));
            table += &format!("MethodInfo::of::<com_atproto::{}>(),\n", path.trim_start_matches("com_atproto::"));
            macro_lines += &format!("$run!($crate::{path});\n");
        }
    }
    format!(
        "{HEAD}: every method that has wire types.\n\n\
         use super::com_atproto;\nuse crate::method::MethodInfo;\n\n\
         /// Every method, sorted by NSID.\npub(crate) const METHODS: [MethodInfo; {count}] = [\n{table}];\n\n\
         /// Calls a macro once with the type of each method.\n#[cfg(test)]\nmacro_rules! each_method {{\n\
         ($run:ident) => {{\n{macro_lines}}};\n}}\n\n#[cfg(test)]\npub(crate) use each_method;\n"
    )
}

/// Writes the lexicons, compact and without their texts, for the run-time schema set.
fn documents(typed: &[Source], records: &[Source]) -> Result<String, LexgenError> {
    let mut sources: Vec<&Source> = typed.iter().chain(records).collect();
    sources.sort_by(|a, b| a.nsid.cmp(&b.nsid));
    let mut text = format!(
        "{HEAD}: the lexicons as the run-time schema set reads them, without descriptions.\n\n\
         /// NSID and document, sorted by NSID.\npub(crate) const DOCUMENTS: [(&str, &str); {}] = [\n",
        sources.len()
    );
    for source in sources {
        let mut document = source.document.clone();
        drop_texts(&mut document);
        let json = document.to_string();
        let hashes = if json.contains("\"#") { "##" } else { "#" };
        if json.contains("\"##") {
            return Err(LexgenError::lexicon(&source.nsid, "holds the end of a raw string"));
        }
        text += &format!("({:?}, r{hashes}\"{json}\"{hashes}),\n", source.nsid);
    }
    Ok(text + "];\n")
}

/// Removes the descriptions; a field that is itself called `description` holds a schema and stays.
fn drop_texts(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("description").is_some_and(Value::is_string) {
                map.shift_remove("description");
            }
            map.values_mut().for_each(drop_texts);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_texts),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}
