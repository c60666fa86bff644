//! Layers inside a crate: domain code has never heard of HTTP or an engine, and only the store knows an engine.

use super::{Finding, Source, paths::Paths};

/// Code below these folders must not name these crates and modules.
const FORBIDDEN: &[(&str, &[&str])] = &[
    (
        "crates/server/src/domain/",
        &[
            "allod_http",
            "axum",
            "hyper",
            "hyper_util",
            "http",
            "http_body",
            "tower_http",
            "tungstenite",
            "rusqlite",
            "allod_store::sqlite",
            "crate::access",
            "crate::adapters",
            "crate::cors",
            "crate::pages",
            "crate::reply",
            "crate::service",
            "crate::streams",
            "crate::well_known",
            "crate::xrpc",
        ],
    ),
    ("crates/server/src/", &["rusqlite", "reqwest", "hickory_resolver"]),
    ("crates/http/src/", &["rusqlite", "reqwest"]),
    ("crates/plc/src/", &["rusqlite"]),
    ("crates/net/src/", &["rusqlite", "hyper", "std::env"]),
    ("crates/blobstore/src/", &["hyper", "reqwest", "rusqlite"]),
    ("crates/base/src/", &["tokio", "hyper", "reqwest", "rusqlite", "std::env", "std::fs", "std::net", "std::time"]),
    ("crates/allod/src/", &["rusqlite"]),
    ("crates/atproto/src/", &["tokio", "axum", "hyper", "reqwest", "rusqlite", "std::fs", "std::time"]),
];

/// Finds names that a layer must not use.
pub(super) fn check(tree: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.iter().filter(|source| source.is_own_rust()) {
        let rules: Vec<_> = FORBIDDEN.iter().filter(|(folder, _)| source.path.starts_with(folder)).collect();
        if rules.is_empty() {
            continue;
        }
        let paths = match Paths::of(source) {
            Ok(paths) => paths,
            Err(error) => {
                findings.push(Finding::at(source, error.span().start().line, format!("not readable: {error}")));
                continue;
            }
        };
        for (folder, names) in rules {
            for name in *names {
                let used = paths.iter().filter(|found| is_within(&found.path, name));
                findings
                    .extend(used.map(|found| Finding::at(source, found.line, format!("{folder} must not use {name}"))));
            }
        }
    }
    findings
}

/// Whether a path is the named item or inside it.
fn is_within(path: &[String], name: &str) -> bool {
    let mut segments = path.iter();
    name.split("::").all(|part| segments.next().is_some_and(|segment| segment == part))
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
        assert_eq!(found(path, "use http;"), 1);
        assert_eq!(found(path, "fn f(status: http::StatusCode) {}"), 1);
        assert_eq!(found(path, "fn f() { crate::xrpc::routes(); }"), 1);
        assert_eq!(found(path, "// see axum::Router\nfn f() { let http = \"http://localhost\"; g(http) }"), 0);
        assert_eq!(found(path, "use allod_store::Db;\nfn f() { my_http::f(); }"), 0);
    }

    #[test]
    fn every_form_of_an_import_counts() {
        let path = "crates/server/src/domain/sign_up/queue.rs";
        assert_eq!(found(path, "use crate::{xrpc::error, limits};\nuse crate::service::RequestContext;"), 2);
        assert_eq!(found(path, "use {crate::{domain::shares, xrpc::{self, error}}, http::Method};"), 3);
        assert_eq!(found(path, "use crate::xrpc as calls;\npub use crate::pages::*;"), 2);
        assert_eq!(found(path, "use super::super::super::xrpc::error;"), 1);
        assert_eq!(found(path, "mod tests { use super::super::super::super::xrpc::error; }"), 1);
        assert_eq!(found(path, "use super::{machine, xrpc::error};"), 0, "a module of its own");
        let module = "crates/server/src/domain/sign_up/mod.rs";
        assert_eq!(found(module, "use super::super::{streams::frames, domain::shares};"), 1);
    }

    #[test]
    fn other_layers_may() {
        assert_eq!(found("crates/server/src/xrpc/mod.rs", "use hyper::body::Body;"), 0);
        assert_eq!(found("crates/store/src/sqlite/mod.rs", "use rusqlite::Connection;"), 0);
    }

    #[test]
    fn only_the_network_crate_knows_a_client() {
        assert_eq!(found("crates/server/src/domain/firehose/relays.rs", "use reqwest::Client;"), 1);
        assert_eq!(found("crates/net/src/outbound.rs", "use reqwest::Client;"), 0);
    }

    #[test]
    fn only_the_store_knows_an_engine() {
        assert_eq!(found("crates/plc/src/directory.rs", "use rusqlite::Connection;"), 1);
    }

    #[test]
    fn a_file_that_is_no_rust_is_a_finding() {
        assert_eq!(found("crates/plc/src/directory.rs", "fn f( {"), 1);
    }
}
