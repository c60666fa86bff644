//! What may be linked: the bans and licences of deny.toml, held against what is really used.
//!
//! The same file configures `cargo deny`, for those who have it; this gate needs no tool and no network.

use serde::Deserialize;

use super::Finding;
use super::metadata::Metadata;

/// The part of deny.toml that is checked here.
#[derive(Debug, Deserialize)]
pub(super) struct Policy {
    licenses: Licenses,
    bans: Bans,
}

#[derive(Debug, Deserialize)]
struct Licenses {
    allow: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Bans {
    deny: Vec<Ban>,
    #[serde(default)]
    features: Vec<FeatureBan>,
}

/// Features that nobody may turn on.
#[derive(Debug, Deserialize)]
struct FeatureBan {
    #[serde(rename = "crate")]
    name: String,
    deny: Vec<String>,
}

#[derive(Debug, Deserialize)]
struct Ban {
    name: String,
}

impl Policy {
    /// Reads deny.toml.
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        toml::from_str(text).map_err(|error| error.to_string())
    }
}

/// Finds crates that are banned or whose licence is not accepted.
pub(super) fn check(metadata: &Metadata, policy: &Policy) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in metadata.foreign() {
        if policy.bans.deny.iter().any(|ban| ban.name == package.name) {
            findings.push(Finding::of("Cargo.lock", format!("{} is banned by deny.toml", package.name)));
        }
        for ban in policy.bans.features.iter().filter(|ban| ban.name == package.name) {
            let denied = metadata.features(package).iter().filter(|feature| ban.deny.contains(feature));
            let message = |feature| format!("{}'s feature {feature} is banned by deny.toml", package.name);
            findings.extend(denied.map(|feature| Finding::of("Cargo.lock", message(feature))));
        }
        let licence = package.license.as_deref().unwrap_or("");
        if !accepted(licence, &policy.licenses.allow) {
            findings.push(Finding::of("Cargo.lock", format!("{} has the licence {licence:?}", package.name)));
        }
    }
    findings
}

/// Judges an SPDX expression: `OR` (and the older `/`) needs one side, `AND` both, `WITH` belongs to its licence.
fn accepted(expression: &str, allowed: &[String]) -> bool {
    let spaced = expression.replace('(', " ( ").replace(')', " ) ").replace('/', " OR ");
    let mut words = spaced.split_whitespace().peekable();
    either(&mut words, allowed).unwrap_or(false) && words.next().is_none()
}

type Words<'a> = std::iter::Peekable<std::str::SplitWhitespace<'a>>;

fn either(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let mut verdict = both(words, allowed)?;
    while words.next_if_eq(&"OR").is_some() {
        verdict |= both(words, allowed)?;
    }
    Some(verdict)
}

fn both(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let mut verdict = one(words, allowed)?;
    while words.next_if_eq(&"AND").is_some() {
        verdict &= one(words, allowed)?;
    }
    Some(verdict)
}

fn one(words: &mut Words<'_>, allowed: &[String]) -> Option<bool> {
    let word = words.next()?;
    if word == "(" {
        let verdict = either(words, allowed)?;
        return (words.next()? == ")").then_some(verdict);
    }
    let mut licence = word.to_owned();
    if words.next_if_eq(&"WITH").is_some() {
        licence = format!("{licence} WITH {}", words.next()?);
    }
    Some(allowed.contains(&licence))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tidy::metadata::{Node, answer};

    fn judge(expression: &str) -> bool {
        accepted(expression, &["MIT".to_owned(), "Apache-2.0".to_owned()])
    }

    #[test]
    fn reads_licence_expressions() {
        assert!(judge("MIT"));
        assert!(judge("MIT/GPL-3.0"));
        assert!(judge("GPL-3.0 OR MIT"));
        assert!(judge("(GPL-3.0 OR MIT) AND Apache-2.0"));
        assert!(!judge("GPL-3.0"));
        assert!(!judge("MIT AND GPL-3.0"));
        assert!(!judge("Apache-2.0 WITH LLVM-exception"));
        assert!(!judge(""));
        assert!(!judge("MIT OR"));
        assert!(!judge("(MIT"));
    }

    #[test]
    fn finds_features_that_are_banned() {
        let policy = "licenses.allow = [\"MIT\"]\nbans.deny = []\nbans.features = [{ crate = \"serde_json\", deny = [\"raw_value\"] }]";
        let policy = Policy::parse(policy).unwrap();
        let mut metadata = answer(&[("serde_json", Some("MIT"), [].as_slice())]);
        let node = |features: &[&str]| Node {
            id: "serde_json".to_owned(),
            features: features.iter().map(|feature| (*feature).to_owned()).collect(),
        };
        metadata.resolve.nodes = vec![node(&["std"])];
        assert_eq!(check(&metadata, &policy), []);
        metadata.resolve.nodes = vec![node(&["raw_value", "std"])];
        let message = "serde_json's feature raw_value is banned by deny.toml";
        assert_eq!(check(&metadata, &policy), [Finding::of("Cargo.lock", message)]);
    }

    #[test]
    fn what_is_not_linked_does_not_count() {
        let policy = Policy::parse("licenses.allow = []\nbans.deny = [{ name = \"openssl\" }]").unwrap();
        let mut metadata = answer(&[("openssl", Some("MIT"), [].as_slice())]);
        metadata.linked = crate::tidy::metadata::linked("allod v0.1.0 (/x)\nserde v1.0.0 (*)\n");
        assert_eq!(check(&metadata, &policy), []);
    }

    #[test]
    fn finds_banned_crates_and_strange_licences() {
        let policy = Policy::parse("licenses.allow = [\"MIT\"]\nbans.deny = [{ name = \"openssl\" }]").unwrap();
        let none = [].as_slice();
        assert_eq!(check(&answer(&[("serde", Some("MIT"), none), ("allod-store", None, none)]), &policy), []);
        assert_eq!(check(&answer(&[("openssl", Some("MIT"), none)]), &policy).len(), 1);
        assert_eq!(check(&answer(&[("copyleft", Some("AGPL-3.0"), none)]), &policy).len(), 1);
    }
}
