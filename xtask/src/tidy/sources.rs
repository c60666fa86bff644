//! How a source file looks: its size, its name and place, its head, and no work left undone.

use super::{Finding, Source};

/// The longest file, in lines.
const FILE_LINES_MAX: usize = 800;
/// Names that say nothing about what a module owns.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager"];
/// Words that leave work undone.
const UNDONE: &[&str] = &["todo!(", "unimplemented!(", "#[ignore"];
/// Where modules with submodules may still be beside their folder. Test folders mirror the endpoints and may too.
const MIXED_PLACES: &[&str] = &["crates/server/", "crates/testkit/"];
/// This file, which must name what it forbids.
const SELF: &str = "xtask/src/tidy/sources.rs";

/// Finds files that are too long, badly named, without a head, or unfinished.
pub(super) fn check(tree: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for source in tree.iter().filter(|source| source.is_own_rust()) {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            findings.push(Finding::of(&source.path, format!("{lines} lines; the most is {FILE_LINES_MAX}")));
        }
        if let Some(name) = source.path.trim_end_matches(".rs").split('/').find(|part| EMPTY_NAMES.contains(part)) {
            findings.push(Finding::of(&source.path, format!("{name:?} says nothing; name what the module owns")));
        }
        let tests_beside_code = source.path.ends_with("/tests.rs");
        if !tests_beside_code && !source.text.trim_start().starts_with("//!") {
            findings.push(Finding::of(&source.path, "no `//!` head that says what the module owns"));
        }
        if let Some(folder) = folder_beside(tree, source) {
            findings.push(Finding::of(&source.path, format!("has submodules: move it to {folder}mod.rs")));
        }
        if source.path != SELF {
            findings.extend(undone(source));
        }
    }
    findings
}

/// The folder of a module that is beside it: `foo.rs` and `foo/`, where `foo/mod.rs` is the style.
fn folder_beside(tree: &[Source], source: &Source) -> Option<String> {
    let is_checked = source.path.contains("/src/") && !MIXED_PLACES.iter().any(|place| source.path.starts_with(place));
    let folder = format!("{}/", source.path.strip_suffix(".rs").filter(|_| is_checked)?);
    tree.iter().any(|other| other.path.starts_with(&folder)).then_some(folder)
}

fn undone(source: &Source) -> impl Iterator<Item = Finding> {
    source.lines().flat_map(move |(number, line)| {
        let words = UNDONE.iter().filter(move |word| line.contains(*word));
        words.map(move |word| Finding::at(source, number, format!("unfinished: {word}")))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(path: &str, text: &str) -> usize {
        check(&[Source::new(path, text)]).len()
    }

    #[test]
    fn a_plain_module_is_fine() {
        assert_eq!(found("crates/store/src/txn.rs", "//! Transactions.\nfn f() {}\n"), 0);
    }

    #[test]
    fn length_counts_unless_generated() {
        let long = format!("//! Long.\n{}", "\n".repeat(FILE_LINES_MAX));
        assert_eq!(found("crates/store/src/txn.rs", &long), 1);
        assert_eq!(found("crates/lexicon/src/generated/mod.rs", &long), 0);
    }

    #[test]
    fn empty_names_and_missing_heads_are_found() {
        assert_eq!(found("crates/store/src/utils.rs", "//! Things.\n"), 1);
        assert_eq!(found("crates/store/src/common/mod.rs", "//! Things.\n"), 1);
        assert_eq!(found("crates/store/src/txn.rs", "fn f() {}\n"), 1);
        assert_eq!(found("crates/store/src/txn/tests.rs", "fn f() {}\n"), 0);
    }

    #[test]
    fn a_module_with_submodules_is_in_their_folder() {
        let found = |module: &str| {
            let folder = module.strip_suffix("/mod.rs").or(module.strip_suffix(".rs")).unwrap_or_default();
            let inner = format!("{folder}/inner.rs");
            check(&[Source::new(module, "//! Outer.\n"), Source::new(&inner, "//! Inner.\n")]).len()
        };
        assert_eq!(found("crates/store/src/txn.rs"), 1);
        assert_eq!(found("crates/store/src/txn/mod.rs"), 0);
        assert_eq!(found("crates/store/tests/it/txn.rs"), 0);
        assert_eq!(found("crates/server/src/control.rs"), 0);
    }

    #[test]
    fn unfinished_work_is_found_with_its_line() {
        let source = Source::new("crates/store/src/txn.rs", "//! T.\nfn f() { todo!() }\n");
        assert_eq!(check(std::slice::from_ref(&source)), [Finding::at(&source, 2, "unfinished: todo!(")]);
    }
}
