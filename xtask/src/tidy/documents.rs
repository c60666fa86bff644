//! The papers: every crate is on the map, every decision has its number.

use super::metadata::Metadata;
use super::{Finding, Source, find};

/// The map of the project.
const MAP: &str = "ARCHITECTURE.md";
/// Where decisions are recorded.
const DECISIONS: &str = "docs/adr/";

/// Finds crates that ARCHITECTURE.md does not name and decisions that are not numbered in turn.
pub(super) fn check(tree: &[Source], metadata: &Metadata) -> Vec<Finding> {
    let mut findings = Vec::new();
    let map = find(tree, MAP).map_or("", |source| source.text.as_str());
    for package in metadata.members() {
        if !map.contains(&format!("`{}`", package.folder())) && !map.contains(&format!("`{}/`", package.folder())) {
            findings.push(Finding::of(MAP, format!("does not name the crate `{}`", package.folder())));
        }
    }
    let decisions = tree.iter().filter_map(|source| Some((source, source.path.strip_prefix(DECISIONS)?)));
    for (index, (source, name)) in decisions.enumerate() {
        let number = format!("{:04}", index + 1);
        if !name.starts_with(&format!("{number}-")) {
            findings
                .push(Finding::of(&source.path, format!("decisions are numbered in turn: expected {number}-title.md")));
        }
        if !source.text.starts_with(&format!("# {number} ")) {
            findings.push(Finding::at(source, 1, format!("a decision's title starts with its number: # {number} …")));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::metadata::answer;

    #[test]
    fn every_crate_is_on_the_map() {
        let metadata = answer(&[("allod-store", None, &[])]);
        assert_eq!(check(&[Source::new(MAP, "| `store` | the seam |")], &metadata), []);
        assert_eq!(check(&[Source::new(MAP, "restored")], &metadata).len(), 1);
        assert_eq!(check(&[], &metadata).len(), 1);
    }

    #[test]
    fn decisions_are_numbered_in_turn() {
        let first = Source::new("docs/adr/0001-storage.md", "# 0001 Storage\n");
        let third = Source::new("docs/adr/0003-sign-up.md", "# 0003 Sign-up\n");
        let none = answer(&[]);
        assert_eq!(check(std::slice::from_ref(&first), &none), []);
        assert_eq!(check(&[first, third], &none).len(), 2);
        assert_eq!(check(&[Source::new("docs/adr/0001-storage.md", "# Storage\n")], &none).len(), 1);
    }
}
