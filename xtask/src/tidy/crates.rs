//! Dependency direction between our crates: `allod -> server -> {http, store, plc, lexicon} -> atproto`.

use super::Finding;
use super::metadata::Metadata;

/// Each crate and those of ours that its code may name. Tests may use the crates made for them besides.
const MAY_USE: &[(&str, &[&str])] = &[
    ("allod-atproto", &[]),
    ("allod-lexicon", &["allod-atproto"]),
    ("allod-http", &[]),
    ("allod-store", &["allod-atproto"]),
    ("allod-plc", &["allod-atproto", "allod-store"]),
    ("allod-server", &["allod-atproto", "allod-lexicon", "allod-http", "allod-store", "allod-plc"]),
    ("allod", &["allod-atproto", "allod-lexicon", "allod-http", "allod-store", "allod-plc", "allod-server"]),
    ("allod-testkit", &["allod-atproto", "allod-lexicon", "allod-http", "allod-store", "allod-plc", "allod-server"]),
    (
        "allod-fuzz-targets",
        &["allod-atproto", "allod-lexicon", "allod-http", "allod-store", "allod-plc", "allod-server"],
    ),
    ("allod-sqlite-recorder", &[]),
    ("xtask", &[]),
];

/// Usable by every crate's tests, and by tests alone.
const FOR_TESTS: &[&str] = &["allod-testkit", "allod-sqlite-recorder"];

/// Finds crates that depend on one they must not know, and crates without a rule.
pub(super) fn check(metadata: &Metadata) -> Vec<Finding> {
    let ours: Vec<&str> = metadata.members().map(|package| package.name.as_str()).collect();
    let mut findings = Vec::new();
    for package in metadata.members() {
        let Some((_, allowed)) = MAY_USE.iter().find(|(name, _)| *name == package.name) else {
            findings.push(Finding::of(&package.name, "a crate without a rule: add it to MAY_USE and write an ADR"));
            continue;
        };
        for dependency in &package.dependencies {
            let for_tests = dependency.kind.as_deref() == Some("dev");
            let fine = allowed.contains(&dependency.name.as_str())
                || (for_tests && FOR_TESTS.contains(&dependency.name.as_str()));
            if ours.contains(&dependency.name.as_str()) && dependency.name != package.name && !fine {
                findings.push(Finding::of(&package.name, format!("must not depend on {}", dependency.name)));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::metadata::answer;

    #[test]
    fn the_way_down_is_fine_and_the_way_up_is_not() {
        let down = answer(&[("allod-atproto", None, &[]), ("allod-store", None, &[("allod-atproto", None)])]);
        assert_eq!(check(&down), []);
        let up = answer(&[("allod-atproto", None, &[("allod-store", None)]), ("allod-store", None, &[])]);
        assert_eq!(check(&up), [Finding::of("allod-atproto", "must not depend on allod-store")]);
    }

    #[test]
    fn only_tests_may_use_the_testkit() {
        let testkit = ("allod-testkit", None, [].as_slice());
        let test = [("allod-testkit", Some("dev"))];
        assert_eq!(check(&answer(&[testkit, ("allod-server", None, &test)])), []);
        let code = [("allod-testkit", None)];
        assert_eq!(check(&answer(&[testkit, ("allod-server", None, &code)])).len(), 1);
    }

    #[test]
    fn a_new_crate_needs_a_rule() {
        assert_eq!(check(&answer(&[("allod-oauth", None, &[])])).len(), 1);
    }
}
