//! How a source file looks: its size, its name, its head, and no work left undone.

use super::{Finding, Source};

/// The longest file, in lines.
const FILE_LINES_MAX: usize = 800;
/// Names that say nothing about what a module owns.
const EMPTY_NAMES: &[&str] = &["util", "utils", "helper", "helpers", "common", "misc", "manager"];
/// Words that leave work undone.
const UNDONE: &[&str] = &["todo!(", "unimplemented!(", "#[ignore"];
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
        if source.path != SELF {
            findings.extend(undone(source));
        }
    }
    findings
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
    fn unfinished_work_is_found_with_its_line() {
        let source = Source::new("crates/store/src/txn.rs", "//! T.\nfn f() { todo!() }\n");
        assert_eq!(check(std::slice::from_ref(&source)), [Finding::at(&source, 2, "unfinished: todo!(")]);
    }
}
