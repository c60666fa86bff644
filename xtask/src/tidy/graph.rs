//! The imports between the modules of the domain: no circle, and no module that takes the whole application.
//!
//! What is left of both is listed here, and the lists can only shrink: a module that is in order must not be in them.

use std::collections::{BTreeMap, BTreeSet};

use syn::{Signature, Type, visit::Visit};

use super::{
    Finding, Source,
    paths::{self, Found, Paths},
};

/// Where the modules are.
const DOMAIN: &str = "crates/server/src/domain/";
/// The type that has everything of a server.
const APPLICATION: &str = "App";

/// The modules that may import each other in a circle: none.
const CIRCLE: &[&str] = &[];

/// The modules with functions that take the whole application still.
const WHOLE_APPLICATION: &[&str] =
    &["accounts", "administration", "identity", "moderation", "repos", "scrub", "sessions", "sign_up"];

/// A module of the domain.
#[derive(Debug, Default)]
struct Module {
    /// The modules that it imports, each with a place where it does.
    imports: BTreeMap<String, (String, usize)>,
    /// Where it names the whole application.
    application: Option<(String, usize)>,
    /// How many functions take the whole application.
    functions: usize,
}

/// The domain's modules by their names.
#[derive(Debug, Default)]
struct Graph {
    modules: BTreeMap<String, Module>,
    findings: Vec<Finding>,
}

impl Graph {
    fn of(tree: &[Source]) -> Self {
        let mut graph = Self::default();
        let sources: Vec<_> =
            tree.iter().filter(|source| source.is_own_rust() && source.path.starts_with(DOMAIN)).collect();
        for source in &sources {
            if let Some(name) = module_name(source) {
                graph.modules.entry(name).or_default();
            }
        }
        for source in sources {
            match (Paths::of(source), syn::parse_file(&source.text)) {
                (Ok(paths), Ok(file)) => graph.add(source, paths, &file),
                // Another check tells of it.
                (Err(_), _) | (_, Err(_)) => {}
            }
        }
        graph
    }

    fn add(&mut self, source: &Source, paths: Vec<Found>, file: &syn::File) {
        let Some(own) = module_name(source) else { return };
        let mut functions = Functions::default();
        functions.visit_file(file);
        let mut imports = Vec::new();
        for Found { line, path, is_glob } in paths {
            let names: Vec<&str> = path.iter().map(String::as_str).collect();
            match names.as_slice() {
                ["crate"] | ["crate", "domain"] if is_glob => {
                    self.findings.push(Finding::at(source, line, "import modules of the domain by their names"));
                }
                ["crate", "domain", name, ..] if self.modules.contains_key(*name) => {
                    imports.push(((*name).to_owned(), line));
                }
                ["crate", "domain", name, ..] => {
                    self.findings.push(Finding::at(source, line, format!("{name} is not a module of the domain")));
                }
                ["crate", "app", ..] => {
                    if let Some(module) = self.modules.get_mut(&own) {
                        module.application.get_or_insert((source.path.clone(), line));
                    }
                }
                _ => {}
            }
        }
        let Some(module) = self.modules.get_mut(&own) else { return };
        module.functions += functions.count;
        for (name, line) in imports.into_iter().filter(|(name, _)| *name != own) {
            module.imports.entry(name).or_insert((source.path.clone(), line));
        }
    }

    /// The modules that can be reached from one by imports.
    fn reached<'a>(&'a self, from: &'a str) -> BTreeSet<&'a str> {
        let (mut reached, mut open) = (BTreeSet::new(), vec![from]);
        while let Some(name) = open.pop() {
            let imports = self.modules.get(name).into_iter().flat_map(|module| module.imports.keys());
            open.extend(imports.map(String::as_str).filter(|name| reached.insert(*name)));
        }
        reached
    }

    fn is_in_circle(&self, name: &str) -> bool {
        self.reached(name).contains(name)
    }

    fn check(mut self, circle: &[&str], whole_application: &[&str]) -> Vec<Finding> {
        let mut findings = std::mem::take(&mut self.findings);
        for (name, module) in &self.modules {
            let is_listed = circle.contains(&name.as_str());
            match (self.is_in_circle(name), is_listed) {
                (true, false) => {
                    let back = module.imports.iter().filter(|(other, _)| self.reached(other).contains(name.as_str()));
                    findings.extend(back.map(|(other, (path, line))| Finding {
                        path: path.clone(),
                        line: Some(*line),
                        message: format!("{name} imports {other}, which imports {name}, in a circle"),
                    }));
                }
                (false, true) => findings.push(out_of("CIRCLE", name)),
                (true, true) | (false, false) => {}
            }
            let is_listed = whole_application.contains(&name.as_str());
            match (&module.application, is_listed) {
                (Some((path, line)), false) => findings.push(Finding {
                    path: path.clone(),
                    line: Some(*line),
                    message: format!("{name} must not take the whole application: give it the parts that it needs"),
                }),
                (None, true) => findings.push(out_of("WHOLE_APPLICATION", name)),
                (Some(_), true) | (None, false) => {}
            }
        }
        for (list, names) in [("CIRCLE", circle), ("WHOLE_APPLICATION", whole_application)] {
            let gone = names.iter().filter(|name| !self.modules.contains_key(**name));
            findings.extend(gone.map(|name| out_of(list, name)));
        }
        findings
    }

    /// The graph as a table.
    fn table(&self) -> Vec<String> {
        let mut lines =
            vec!["| module | imports | in a circle | functions that take the whole application |".to_owned()];
        lines.push("|---|---|---|---|".to_owned());
        for (name, module) in &self.modules {
            let imports = module.imports.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let circle = if self.is_in_circle(name) { "yes" } else { "" };
            let functions = if module.functions == 0 { String::new() } else { module.functions.to_string() };
            lines.push(format!("| {name} | {imports} | {circle} | {functions} |"));
        }
        let in_circle = self.modules.keys().filter(|name| self.is_in_circle(name)).count();
        let functions: usize = self.modules.values().map(|module| module.functions).sum();
        lines.push(String::new());
        lines.push(format!(
            "{} modules, {in_circle} in a circle, {functions} functions that take the whole application",
            self.modules.len()
        ));
        lines
    }
}

fn out_of(list: &str, name: &str) -> Finding {
    Finding::of("xtask/src/tidy/graph.rs", format!("{name} is in order: take it out of {list}"))
}

/// The module of the domain that a file belongs to; none for the domain's own file.
fn module_name(source: &Source) -> Option<String> {
    paths::module_of(&source.path).into_iter().nth(2)
}

/// Counts the functions that take the whole application.
#[derive(Default)]
struct Functions {
    count: usize,
}

impl<'ast> Visit<'ast> for Functions {
    fn visit_signature(&mut self, signature: &'ast Signature) {
        let mut named = Named { is_found: false };
        for input in &signature.inputs {
            if let syn::FnArg::Typed(input) = input {
                named.visit_type(&input.ty);
            }
        }
        self.count += usize::from(named.is_found);
        syn::visit::visit_signature(self, signature);
    }
}

/// Whether a type has the application's in it.
struct Named {
    is_found: bool,
}

impl<'ast> Visit<'ast> for Named {
    fn visit_type(&mut self, node: &'ast Type) {
        if let Type::Path(path) = node {
            self.is_found |= path.path.segments.last().is_some_and(|last| last.ident == APPLICATION);
        }
        syn::visit::visit_type(self, node);
    }
}

/// Finds modules in a circle and modules that take the whole application, but for those that are listed.
pub(super) fn check(tree: &[Source]) -> Vec<Finding> {
    Graph::of(tree).check(CIRCLE, WHOLE_APPLICATION)
}

/// The graph as a table, a line each.
pub(super) fn table(tree: &[Source]) -> Vec<String> {
    Graph::of(tree).table()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn findings(files: &[(&str, &str)], circle: &[&str], whole_application: &[&str]) -> Vec<String> {
        let tree: Vec<_> = files.iter().map(|(path, text)| Source::new(&format!("{DOMAIN}{path}"), text)).collect();
        let findings = Graph::of(&tree).check(circle, whole_application);
        findings.iter().map(|finding| finding.message.clone()).collect()
    }

    const BACK: (&str, &str) = ("repos/mod.rs", "use super::accounts::Account;");

    #[test]
    fn every_form_of_an_import_makes_a_circle() {
        for text in [
            "use super::repos;",
            "use super::{keys, repos::Head};",
            "use crate::domain::repos;",
            "use crate::{domain::{repos as r}, limits};",
            "pub use crate::domain::repos::*;",
            "fn f() { super::repos::g(); }",
            "fn f() { crate::domain::repos::g(); }",
            "fn f(head: &super::repos::Head) {}",
            "fn f() { assert_eq!(crate::domain::repos::g(), 1); }",
            "use crate::domain;\nfn f() { domain::repos::g(); }",
            "use crate::domain as d;\nfn f() { assert!(d::repos::g()); }",
            "mod tests { use super::super::repos; }",
            "fn f() { use super::repos; }",
        ] {
            let found = findings(&[("accounts.rs", text), BACK, ("keys.rs", "")], &[], &[]);
            assert!(found.iter().any(|finding| finding.starts_with("accounts imports repos")), "{text}: {found:?}");
        }
    }

    #[test]
    fn one_direction_is_no_circle() {
        let files = [("accounts.rs", "mod own;\nuse self::own::f; use super::keys;"), BACK, ("keys.rs", "")];
        assert_eq!(findings(&files, &[], &[]), [""; 0]);
    }

    #[test]
    fn a_longer_way_back_is_a_circle() {
        let files = [
            ("accounts/mod.rs", ""),
            ("accounts/email.rs", "use super::super::keys;"),
            BACK,
            ("keys.rs", "use super::repos;"),
        ];
        assert_eq!(findings(&files, &[], &[]).len(), 3);
        assert_eq!(findings(&files, &["accounts", "keys", "repos"], &[]), [""; 0]);
    }

    #[test]
    fn names_are_hidden_by_no_glob_and_no_second_export() {
        for text in ["use super::*;", "use crate::domain::*;", "use crate::*;", "use super::Account;"] {
            assert_eq!(findings(&[("repos.rs", text)], &[], &[]).len(), 1, "{text}");
        }
        assert_eq!(findings(&[("repos.rs", "mod tests { use super::*; }")], &[], &[]), [""; 0]);
    }

    #[test]
    fn the_whole_application_is_found() {
        for text in ["use crate::app::App;", "use crate::{app::App, limits};", "fn f(app: &crate::app::App) {}"] {
            assert_eq!(findings(&[("repos.rs", text)], &[], &[]).len(), 1, "{text}");
            assert_eq!(findings(&[("repos.rs", text)], &[], &["repos"]), [""; 0], "{text}");
        }
    }

    #[test]
    fn the_lists_can_only_shrink() {
        let files = [("repos.rs", "")];
        assert_eq!(findings(&files, &["repos"], &[]).len(), 1);
        assert_eq!(findings(&files, &[], &["repos"]).len(), 1);
        assert_eq!(findings(&files, &["gone"], &["gone"]).len(), 2);
    }

    #[test]
    fn functions_are_counted() {
        let text = "fn f(app: &App) {}\nasync fn g(x: u8, app: &Arc<App>) {}\nfn h(apple: &Apple) {}";
        let tree = [Source::new(&format!("{DOMAIN}repos.rs"), text)];
        assert_eq!(table(&tree)[2], "| repos |  |  | 2 |");
    }
}
