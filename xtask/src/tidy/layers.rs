//! Layers inside a crate: domain code has never heard of HTTP or an engine, and only the store knows an engine.

use super::{Finding, Source};

/// Code below these folders must not name these crates and modules.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "crates/server/src/domain/",
        &[
            "axum",
            "hyper",
            "hyper_util",
            "http",
            "tower_http",
            "rusqlite",
            "allod_store::sqlite",
            "crate::xrpc",
            "crate::http",
            "crate::pages",
            "crate::well_known",
        ],
    ),
    ("crates/server/src/", &["rusqlite"]),
    ("crates/plc/src/", &["rusqlite"]),
    ("crates/allod/src/", &["rusqlite"]),
    ("crates/atproto/src/", &["tokio", "axum", "hyper", "reqwest", "rusqlite", "std::fs", "std::time"]),
];

/// Finds names that a layer must not use.
pub(super) fn check(tree: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.iter().filter(|source| source.is_own_rust()) {
        for (folder, names) in FORBIDDEN.iter().filter(|(folder, _)| source.path.starts_with(folder)) {
            for (number, line) in source.lines() {
                let code = line.split("//").next().unwrap_or(line);
                for name in names.iter().filter(|name| uses(code, name)) {
                    findings.push(Finding::at(source, number, format!("{folder} must not use {name}")));
                }
            }
        }
    }
    findings
}

/// Tells whether a line of code goes through this path: `name::…`, or `use name;`.
fn uses(code: &str, name: &str) -> bool {
    let imports = code.trim_start().starts_with("use ");
    code.match_indices(name).any(|(at, _)| {
        let (before, rest) = code.split_at(at);
        let after = rest.strip_prefix(name).unwrap_or(rest);
        let starts = !before.ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == ':');
        starts && (after.starts_with("::") || (imports && after.starts_with([';', ' '])))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&[Source::new(path, text)]).len()
    }

    #[test]
    fn domain_code_must_not_name_http() {
        let path = "crates/server/src/domain/sign_up.rs";
        assert_eq!(found(path, "use axum::Router;"), 1);
        assert_eq!(found(path, "fn f(status: http::StatusCode) {}"), 1);
        assert_eq!(found(path, "use crate::{xrpc::error};\nuse crate::http::Reply;"), 1);
        assert_eq!(found(path, "let url = \"http://localhost\"; // see axum::Router\nlet http = 1;"), 0);
        assert_eq!(found(path, "use allod_store::Db;\nmy_http::f();"), 0);
    }

    #[test]
    fn other_layers_may() {
        assert_eq!(found("crates/server/src/xrpc/mod.rs", "use hyper::body::Body;"), 0);
        assert_eq!(found("crates/store/src/sqlite/mod.rs", "use rusqlite::Connection;"), 0);
    }

    #[test]
    fn only_the_store_knows_an_engine() {
        assert_eq!(found("crates/plc/src/directory.rs", "use rusqlite::Connection;"), 1);
    }
}
