//! Layers inside a crate: domain code has never heard of HTTP or an engine, and only the store knows an engine.
//!
//! Files are parsed, so that grouped and relative imports count like any other. What stands inside a macro's
//! arguments is not seen.

use proc_macro2::Span;
use syn::{ItemMod, ItemUse, UseTree, visit::Visit};

use super::{Finding, Source};

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
                let used = paths.iter().filter(|(_, path)| is_within(path, name));
                findings
                    .extend(used.map(|(line, _)| Finding::at(source, *line, format!("{folder} must not use {name}"))));
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

/// The paths that a file names, with their lines; paths in the same crate begin with `crate`.
struct Paths {
    module: Vec<String>,
    found: Vec<(usize, Vec<String>)>,
}

impl Paths {
    fn of(source: &Source) -> syn::Result<Vec<(usize, Vec<String>)>> {
        let mut paths = Self { module: module_of(&source.path), found: Vec::new() };
        paths.visit_file(&syn::parse_file(&source.text)?);
        Ok(paths.found)
    }

    /// Notes a path, seen from the module that is being visited.
    fn note(&mut self, span: Span, path: &[String]) {
        let mut whole = Vec::new();
        let mut rest = path;
        while let Some((first, after)) = rest.split_first() {
            match (first.as_str(), whole.is_empty()) {
                ("self", true) => whole.clone_from(&self.module),
                ("super", true) => {
                    whole.clone_from(&self.module);
                    whole.pop();
                }
                ("super", false) => drop(whole.pop()),
                _ => break,
            }
            rest = after;
        }
        whole.extend_from_slice(rest);
        self.found.push((span.start().line, whole));
    }

    fn note_tree(&mut self, tree: &UseTree, before: &[String]) {
        let with = |name: String| [before, &[name]].concat();
        match tree {
            UseTree::Path(path) => self.note_tree(&path.tree, &with(path.ident.to_string())),
            UseTree::Name(name) if name.ident == "self" => self.note(name.ident.span(), before),
            UseTree::Name(name) => self.note(name.ident.span(), &with(name.ident.to_string())),
            UseTree::Rename(rename) => self.note(rename.ident.span(), &with(rename.ident.to_string())),
            UseTree::Glob(glob) => self.note(glob.star_token.spans[0], before),
            UseTree::Group(group) => group.items.iter().for_each(|item| self.note_tree(item, before)),
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        self.note_tree(&item.tree, &[]);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.module.push(module.ident.to_string());
        syn::visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        // A single name is a local one, or was imported.
        if let Some(first) = path.segments.first().filter(|_| path.segments.len() > 1) {
            let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.note(first.ident.span(), &segments);
        }
        syn::visit::visit_path(self, path);
    }
}

/// The module that a file is: `crates/server/src/domain/mail/mod.rs` is `crate::domain::mail`.
fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside);
    let names = inside.trim_end_matches(".rs").split('/').filter(|name| !matches!(*name, "mod" | "lib" | "main"));
    std::iter::once("crate").chain(names).map(str::to_owned).collect()
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
