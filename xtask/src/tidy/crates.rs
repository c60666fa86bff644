//! Dependency direction between our crates: `allod -> server -> {http, net, blobstore, store, plc, lexicon} ->
//! atproto`, and `base` below all that need it.

use super::Finding;
use super::metadata::Metadata;

/// Each crate and those of ours that its code may name. Tests may use the crates made for them besides.
const MAY_USE: &[(&str, &[&str])] = &[
    ("allod-base", &[]),
    ("allod-atproto", &[]),
    ("allod-lexicon", &["allod-atproto"]),
    ("allod-http", &[]),
    ("allod-store", &["allod-atproto"]),
    ("allod-plc", &["allod-atproto", "allod-store"]),
    ("allod-blobstore", &["allod-atproto"]),
    ("allod-net", &["allod-base", "allod-atproto", "allod-plc"]),
    ("allod-server", BELOW_SERVER),
    ("allod", SERVER_AND_BELOW),
    ("allod-testkit", SERVER_AND_BELOW),
    ("allod-fuzz-targets", SERVER_AND_BELOW),
    ("allod-sqlite-recorder", &[]),
    ("xtask", &[]),
];

/// All that the server is built on.
const BELOW_SERVER: &[&str] = &[
    "allod-base",
    "allod-atproto",
    "allod-lexicon",
    "allod-http",
    "allod-store",
    "allod-plc",
    "allod-net",
    "allod-blobstore",
];

/// The same and the server.
const SERVER_AND_BELOW: &[&str] = &[
    "allod-base",
    "allod-atproto",
    "allod-lexicon",
    "allod-http",
    "allod-store",
    "allod-plc",
    "allod-net",
    "allod-blobstore",
    "allod-server",
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

    #[test]
    fn panics_unwind_in_every_profile() {
        let manifest = include_str!("../../../Cargo.toml").parse::<toml::Table>().unwrap();
        let profiles = manifest["profile"].as_table().unwrap();
        assert!(profiles.contains_key("release"));
        let aborting: Vec<_> = profiles.iter().filter(|(_, profile)| profile.get("panic").is_some()).collect();
        assert!(aborting.is_empty(), "docs/adr/0023-panics-unwind.md: {aborting:?}");
    }
}
