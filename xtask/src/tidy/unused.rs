//! Dependencies that are declared and never named in code: they are built all the same.

use std::path::Path;

use super::metadata::Metadata;
use super::{Finding, Source, find};

/// Finds dependencies that no code of their crate names, and entries of the workspace that no crate takes.
pub(super) fn check(tree: &[Source], metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata.members() {
        let folder =
            if package.name == "xtask" { "xtask/".to_owned() } else { format!("crates/{}/", package.folder()) };
        for dependency in &package.dependencies {
            let below = if dependency.kind.is_none() { format!("{folder}src/") } else { folder.clone() };
            let name = dependency.name.replace('-', "_");
            let mut sources = tree.iter().filter(|source| source.path.starts_with(&below) && is_rust(source));
            if !sources.any(|source| source.lines().any(|(_, line)| names(line, &name))) {
                findings.push(Finding::of(
                    format!("{folder}Cargo.toml"),
                    format!("{} is named in no code", dependency.name),
                ));
            }
        }
    }
    findings.extend(unused_entries(tree, metadata));
    findings
}

/// Generated code counts: it names what it needs like any other.
fn is_rust(source: &Source) -> bool {
    Path::new(&source.path).extension().is_some_and(|kind| kind == "rs")
}

fn unused_entries(tree: &[Source], metadata: &Metadata) -> Vec<Finding> {
    let manifest =
        find(tree, "Cargo.toml").and_then(|source| source.text.parse::<toml::Table>().ok()).unwrap_or_default();
    let entries = manifest.get("workspace").and_then(|workspace| workspace.get("dependencies")?.as_table());
    let is_taken = |name: &str| {
        metadata.members().any(|package| package.dependencies.iter().any(|dependency| dependency.name == name))
    };
    let unused = entries.into_iter().flat_map(toml::Table::keys).filter(|name| !is_taken(name));
    unused.map(|name| Finding::of("Cargo.toml", format!("no crate depends on {name}"))).collect()
}

/// Tells whether a line of code names this crate: at the start of a path, as a macro, or in an import. A variable or a
/// text with the same word does not count.
fn names(line: &str, name: &str) -> bool {
    let code = line.split("//").next().unwrap_or(line);
    let is_import = code.trim_start().trim_start_matches("pub ").starts_with("use ");
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    code.match_indices(name).any(|(at, _)| {
        let (before, rest) = code.split_at(at);
        let after = rest.strip_prefix(name).unwrap_or(rest);
        let starts_a_path = !before.ends_with(is_part) && (!before.ends_with("::") || before.trim_start() == "::");
        starts_a_path && !after.starts_with(is_part) && (is_import || after.starts_with("::") || after.starts_with('!'))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::metadata::answer;

    fn found(path: &str, code: &str, kind: Option<&str>) -> usize {
        let dependency = [("tokio-util", kind)];
        check(&[Source::new(path, code)], &answer(&[("a", None, &dependency)])).len()
    }

    #[test]
    fn a_dependency_is_named_where_it_is_declared_for() {
        assert_eq!(found("crates/a/src/lib.rs", "use tokio_util::task;", None), 0);
        assert_eq!(found("crates/a/src/lib.rs", "// tokio_util\nuse tokio_utils::task;", None), 1);
        assert_eq!(found("crates/a/tests/it.rs", "use tokio_util::task;", None), 1);
        assert_eq!(found("crates/a/tests/it.rs", "use tokio_util::task;", Some("dev")), 0);
        assert_eq!(found("crates/a/tests/it.rs", "use tokio::task;", Some("dev")), 1);
    }

    #[test]
    fn a_word_that_happens_to_be_a_crates_name_is_no_use_of_it() {
        for code in ["let tokio_util = 1;", "let a = \"tokio_util\";", "crate::tokio_util::go();"] {
            assert_eq!(found("crates/a/src/lib.rs", code, None), 1, "{code}");
        }
        for code in ["tokio_util::go();", "tokio_util!(1);", "pub use tokio_util as util;", "#[tokio_util::test]"] {
            assert_eq!(found("crates/a/src/lib.rs", code, None), 0, "{code}");
        }
    }

    #[test]
    fn an_entry_of_the_workspace_is_taken_by_a_crate() {
        let manifest = Source::new("Cargo.toml", "[workspace.dependencies]\nserde = \"1\"\n");
        assert_eq!(check(std::slice::from_ref(&manifest), &answer(&[("a", None, &[])])).len(), 1);
        let code = Source::new("crates/a/src/lib.rs", "use serde::Serialize;");
        assert_eq!(check(&[manifest, code], &answer(&[("a", None, &[("serde", None)])])), []);
    }
}
