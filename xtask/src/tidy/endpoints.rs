//! Every endpoint has a line in the route table and a test at the path of its name.

use super::{Finding, Source, find};

/// Where endpoints live, one file each.
const ENDPOINTS: &str = "crates/server/src/xrpc/";
/// Where their tests live, at the same paths.
const TESTS: &str = "crates/server/tests/it/";
/// Which file names the endpoints that are served.
const ROUTES: &str = "crates/server/src/xrpc/mod.rs";
/// The groups of names that endpoints belong to; other folders below `xrpc` are the framework's.
const GROUPS: &[&str] = &["app_bsky/", "com_atproto/"];

/// Finds endpoints without a test or a route, and tests without an endpoint.
pub(super) fn check(tree: &[Source]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let routes = find(tree, ROUTES).map_or("", |source| source.text.as_str());
    for (source, name) in files(tree, ENDPOINTS) {
        let test = format!("{TESTS}{name}.rs");
        if find(tree, &test).is_none() {
            findings.push(Finding::of(&source.path, format!("an endpoint without its test {test}")));
        }
        if !routes.contains(&module_path(name)) {
            findings.push(Finding::of(&source.path, format!("an endpoint without a line in {ROUTES}")));
        }
    }
    for (source, name) in files(tree, TESTS) {
        // A test that grew may have its parts in a folder of its name.
        let whole = name.rsplit_once('/').map_or("", |(folder, _)| folder);
        if [name, whole].iter().all(|name| find(tree, &format!("{ENDPOINTS}{name}.rs")).is_none()) {
            findings.push(Finding::of(&source.path, "a test of an endpoint that is not there"));
        }
    }
    findings
}

/// Lists the files of endpoints below a folder with their names, like `com_atproto/server/create_account`.
fn files<'a>(tree: &'a [Source], folder: &'a str) -> impl Iterator<Item = (&'a Source, &'a str)> {
    tree.iter().filter_map(move |source| {
        let name = source.path.strip_prefix(folder)?.strip_suffix(".rs")?;
        let endpoint = GROUPS.iter().any(|group| name.starts_with(group)) && !name.ends_with("/mod");
        endpoint.then_some((source, name))
    })
}

/// Names the end of an endpoint's module path, as a route names it: `server::create_account`.
fn module_path(name: &str) -> String {
    let parts: Vec<&str> = name.split('/').skip(1).collect();
    parts.join("::")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tree(paths: &[&str], routes: &str) -> Vec<Source> {
        let mut tree: Vec<Source> = paths.iter().map(|path| Source::new(path, "")).collect();
        tree.push(Source::new(ROUTES, routes));
        tree
    }

    const ENDPOINT: &str = "crates/server/src/xrpc/com_atproto/server/get_session.rs";
    const TEST: &str = "crates/server/tests/it/com_atproto/server/get_session.rs";

    #[test]
    fn an_endpoint_with_test_and_route_is_fine() {
        assert_eq!(check(&tree(&[ENDPOINT, TEST], "query(com_atproto::server::get_session::handler)")), []);
    }

    #[test]
    fn what_is_missing_is_found() {
        assert_eq!(check(&tree(&[ENDPOINT, TEST], "")).len(), 1);
        assert_eq!(check(&tree(&[ENDPOINT], "server::get_session")).len(), 1);
        assert_eq!(check(&tree(&[TEST], "server::get_session")).len(), 1);
    }

    #[test]
    fn the_framework_s_files_are_no_endpoints() {
        let framework = ["crates/server/src/xrpc/error/map.rs", "crates/server/src/xrpc/com_atproto/mod.rs"];
        assert_eq!(check(&tree(&framework, "")), []);
    }
}
