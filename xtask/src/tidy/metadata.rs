//! The part of `cargo metadata`'s answer that the rules need.

use std::collections::BTreeSet;

use serde::Deserialize;

/// Packages, and which of them are linked.
#[derive(Debug, Deserialize)]
pub(super) struct Metadata {
    pub(super) packages: Vec<Package>,
    pub(super) workspace_members: Vec<String>,
    pub(super) resolve: Resolve,
    /// The packages that are linked, as `name vVERSION`. `cargo metadata` lists optional ones that never are.
    #[serde(skip)]
    pub(super) linked: BTreeSet<String>,
}

/// What the packages are built with.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Resolve {
    pub(super) nodes: Vec<Node>,
}

/// The features that one package is built with, whoever asks for them.
#[derive(Debug, Deserialize)]
pub(super) struct Node {
    pub(super) id: String,
    pub(super) features: Vec<String>,
}

/// One package.
#[derive(Debug, Deserialize)]
pub(super) struct Package {
    pub(super) id: String,
    pub(super) name: String,
    pub(super) version: String,
    pub(super) license: Option<String>,
    pub(super) source: Option<String>,
    pub(super) manifest_path: String,
    pub(super) dependencies: Vec<Dependency>,
}

/// One dependency as the manifest names it; `kind` is `dev`, `build` or absent.
#[derive(Debug, Deserialize)]
pub(super) struct Dependency {
    pub(super) name: String,
    pub(super) kind: Option<String>,
}

impl Metadata {
    /// Lists the workspace's own packages.
    pub(super) fn members(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| self.workspace_members.contains(&package.id))
    }

    /// Lists the features that a package of the workspace or a foreign one is built with.
    pub(super) fn features(&self, package: &Package) -> &[String] {
        self.resolve.nodes.iter().find(|node| node.id == package.id).map_or(&[], |node| &node.features)
    }

    /// Lists the foreign packages that are linked.
    pub(super) fn foreign(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| {
            package.source.is_some() && self.linked.contains(&format!("{} v{}", package.name, package.version))
        })
    }
}

/// Reads the linked packages out of `cargo tree --prefix none --format {p}`.
pub(super) fn linked(tree: &str) -> BTreeSet<String> {
    tree.lines()
        .filter_map(|line| {
            let mut words = line.split(' ');
            Some(format!("{} {}", words.next()?, words.next()?))
        })
        .collect()
}

impl Package {
    /// Names the package's folder, the last part of its path.
    pub(super) fn folder(&self) -> &str {
        self.manifest_path.rsplit('/').nth(1).unwrap_or(&self.name)
    }
}

/// A dependency for [`answer`]: name and kind.
#[cfg(test)]
type TestDependency<'a> = (&'a str, Option<&'a str>);

/// Makes an answer with these packages: name, licence, dependencies; members have no licence.
#[cfg(test)]
pub(super) fn answer(packages: &[(&str, Option<&str>, &[TestDependency<'_>])]) -> Metadata {
    let packages: Vec<Package> = packages
        .iter()
        .map(|(name, license, dependencies)| Package {
            id: (*name).to_owned(),
            name: (*name).to_owned(),
            version: "1.0.0".to_owned(),
            license: license.map(str::to_owned),
            source: license.map(|_| "registry".to_owned()),
            manifest_path: format!("/x/crates/{}/Cargo.toml", name.trim_start_matches("allod-")),
            dependencies: dependencies
                .iter()
                .map(|(name, kind)| Dependency { name: (*name).to_owned(), kind: kind.map(str::to_owned) })
                .collect(),
        })
        .collect();
    let workspace_members = packages.iter().filter(|package| package.source.is_none()).map(|p| p.id.clone()).collect();
    let linked = packages.iter().map(|package| format!("{} v1.0.0", package.name)).collect();
    Metadata { packages, workspace_members, resolve: Resolve::default(), linked }
}
