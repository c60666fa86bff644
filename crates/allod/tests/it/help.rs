//! `--help`, `--version` and wrong usage.

use crate::process::Allod;

#[test]
fn help() {
    let allod = Allod::new();
    insta::assert_snapshot!("help", allod.run(&["--help"]).ok());
    insta::assert_snapshot!("help_dev", allod.run(&["dev", "--help"]).ok());
    insta::assert_snapshot!("help_account_create", allod.run(&["account", "create", "--help"]).ok());
}

#[test]
fn version() {
    assert_eq!(Allod::new().run(&["--version"]).ok(), format!("allod {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let allod = Allod::new();
    for arguments in [&["no-such-command"][..], &["dev", "--port", "70000"], &["account", "list", "--limit", "0"], &[]]
    {
        assert_eq!(allod.run(arguments).code, 2, "{arguments:?}");
    }
}
