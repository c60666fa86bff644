//! The paths that a Rust file names.
//!
//! Files are parsed, so that grouped, relative and renamed imports count like any other. In a macro's arguments, paths of
//! more than one name are found.

use std::collections::HashMap;

use proc_macro2::{Spacing, Span, TokenStream, TokenTree};
use syn::{ItemMod, ItemUse, UseTree, visit::Visit};

use super::Source;

/// A path that a file names. One in the same crate begins with `crate`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) line: usize,
    pub(super) path: Vec<String>,
    /// Whether everything in it is imported.
    pub(super) is_glob: bool,
}

/// Collects the paths of a file.
pub(super) struct Paths {
    module: Vec<String>,
    /// What imported names stand for.
    imported: HashMap<String, Vec<String>>,
    found: Vec<Found>,
}

impl Paths {
    /// The paths that a file names.
    pub(super) fn of(source: &Source) -> syn::Result<Vec<Found>> {
        let file = syn::parse_file(&source.text)?;
        let mut paths = Self { module: module_of(&source.path), imported: HashMap::new(), found: Vec::new() };
        // A name may be used above its import.
        Imports(&mut paths).visit_file(&file);
        paths.visit_file(&file);
        Ok(paths.found)
    }

    /// A path seen from the module that is being visited, as a whole.
    fn whole(&self, path: &[String]) -> Vec<String> {
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
        whole
    }

    fn note(&mut self, span: Span, path: &[String], is_glob: bool) {
        let path = self.whole(path);
        self.found.push(Found { line: span.start().line, path, is_glob });
    }

    /// Notes a path that begins with a name of this file, and what it stands for when the name is imported.
    fn note_used(&mut self, span: Span, path: &[String]) {
        self.note(span, path, false);
        if let Some((first, rest)) = path.split_first()
            && let Some(imported) = self.imported.get(first)
        {
            let path = [imported.as_slice(), rest].concat();
            self.found.push(Found { line: span.start().line, path, is_glob: false });
        }
    }

    fn note_tokens(&mut self, tokens: TokenStream) {
        let (mut path, mut start, mut colons): (Vec<String>, Span, usize) = (Vec::new(), Span::call_site(), 0);
        for token in tokens {
            match token {
                TokenTree::Ident(ident) => {
                    if colons != 2 {
                        self.note_if_long(start, &std::mem::take(&mut path));
                    }
                    if path.is_empty() {
                        start = ident.span();
                    }
                    path.push(ident.to_string());
                    colons = 0;
                }
                TokenTree::Punct(punct) if punct.as_char() == ':' => {
                    colons += 1;
                    if colons == 1 && punct.spacing() == Spacing::Alone {
                        self.note_if_long(start, &std::mem::take(&mut path));
                    }
                }
                TokenTree::Group(group) => {
                    self.note_if_long(start, &std::mem::take(&mut path));
                    colons = 0;
                    self.note_tokens(group.stream());
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => {
                    self.note_if_long(start, &std::mem::take(&mut path));
                    colons = 0;
                }
            }
        }
        self.note_if_long(start, &path);
    }

    /// A single name is a local one, or was imported.
    fn note_if_long(&mut self, span: Span, path: &[String]) {
        if path.len() > 1 {
            self.note_used(span, path);
        }
    }
}

impl<'ast> Visit<'ast> for Paths {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for import in imports(&item.tree) {
            self.note(import.span, &import.path, import.is_glob);
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.module.push(module.ident.to_string());
        syn::visit::visit_item_mod(self, module);
        self.module.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if let Some(first) = path.segments.first() {
            let segments: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
            self.note_if_long(first.ident.span(), &segments);
        }
        syn::visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        self.note_tokens(call.tokens.clone());
        syn::visit::visit_macro(self, call);
    }
}

/// Learns what the names of a file stand for.
struct Imports<'a>(&'a mut Paths);

impl<'ast> Visit<'ast> for Imports<'_> {
    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        for import in imports(&item.tree) {
            let whole = self.0.whole(&import.path);
            if let Some(name) = import.name.filter(|_| whole.first().is_some_and(|first| first == "crate")) {
                self.0.imported.insert(name, whole);
            }
        }
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        self.0.module.push(module.ident.to_string());
        syn::visit::visit_item_mod(self, module);
        self.0.module.pop();
    }
}

/// One name that a `use` brings in; a glob brings in no name of its own.
struct Import {
    span: Span,
    path: Vec<String>,
    name: Option<String>,
    is_glob: bool,
}

fn imports(tree: &UseTree) -> Vec<Import> {
    let mut found = Vec::new();
    collect(tree, &[], &mut found);
    found
}

fn collect(tree: &UseTree, before: &[String], found: &mut Vec<Import>) {
    let with = |name: String| [before, &[name]].concat();
    match tree {
        UseTree::Path(path) => collect(&path.tree, &with(path.ident.to_string()), found),
        UseTree::Name(name) if name.ident == "self" => {
            let (span, path) = (name.ident.span(), before.to_vec());
            found.push(Import { span, path, name: before.last().cloned(), is_glob: false });
        }
        UseTree::Name(name) => {
            let (span, path) = (name.ident.span(), with(name.ident.to_string()));
            found.push(Import { span, path, name: Some(name.ident.to_string()), is_glob: false });
        }
        UseTree::Rename(rename) => {
            let path = if rename.ident == "self" { before.to_vec() } else { with(rename.ident.to_string()) };
            let name = Some(rename.rename.to_string());
            found.push(Import { span: rename.ident.span(), path, name, is_glob: false });
        }
        UseTree::Glob(glob) => {
            let (span, path) = (glob.star_token.spans[0], before.to_vec());
            found.push(Import { span, path, name: None, is_glob: true });
        }
        UseTree::Group(group) => group.items.iter().for_each(|item| collect(item, before, found)),
    }
}

/// The module that a file is: `crates/server/src/domain/mail/mod.rs` is `crate::domain::mail`.
pub(super) fn module_of(path: &str) -> Vec<String> {
    let inside = path.split_once("/src/").map_or(path, |(_, inside)| inside);
    let names = inside.trim_end_matches(".rs").split('/').filter(|name| !matches!(*name, "mod" | "lib" | "main"));
    std::iter::once("crate").chain(names).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str) -> Vec<String> {
        let paths = Paths::of(&Source::new("crates/server/src/domain/mail/worker.rs", text)).unwrap();
        paths.into_iter().map(|found| found.path.join("::")).collect()
    }

    #[test]
    fn relative_paths_are_made_whole() {
        assert_eq!(
            found("use super::{letters, super::clock};"),
            ["crate::domain::mail::letters", "crate::domain::clock"]
        );
        assert_eq!(found("use self::inner::f;"), ["crate::domain::mail::worker::inner::f"]);
    }

    #[test]
    fn a_name_stands_for_what_was_imported() {
        let names = found("use super::super::super::domain as d;\nfn f() { d::accounts::g(); }");
        assert!(names.contains(&"crate::domain::accounts::g".to_owned()), "{names:?}");
    }

    #[test]
    fn paths_in_macros_are_found() {
        let names =
            found("fn f() { assert!(a && crate::domain::accounts::g(b, [super::super::repos::h]), \"{}\", x: y); }");
        assert_eq!(names, ["crate::domain::accounts::g", "crate::domain::repos::h"]);
    }
}
