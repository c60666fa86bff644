//! Data and configuration that don't belong together: told before anything is done with the data.

use std::{os::unix::fs::PermissionsExt, path::Path};

use allod_store::{
    Txn, sql,
    sqlite::{self, SqliteOptions},
    tables::meta,
};

use crate::process::{Allod, Outcome, Server, create_account, serve_environment};

const OTHER_KEY: &str = "2222222222222222222222222222222222222222222222222222222222222222";
const HTTP_KEY: &str = "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX";

fn plc(allod: &Allod) -> (Server, String) {
    let mut plc = allod.start(&["plc", "--port", "0"], &[]);
    let line = plc.wait_for("did:plc directory on ");
    let url = line.split(',').next().unwrap().to_owned();
    (plc, url)
}

/// The environment with one setting changed.
fn with<'a>(environment: &[(&'a str, &'a str)], name: &'a str, value: &'a str) -> Vec<(&'a str, &'a str)> {
    let others = environment.iter().copied().filter(|(other, _)| *other != name);
    others.chain([(name, value)]).collect()
}

/// Makes data with an account in it.
async fn fill(allod: &Allod, environment: &[(&str, &str)]) {
    let mut server = allod.start(&["serve"], environment);
    let address = server.wait_for("\"address\":\"");
    create_account(&format!("http://{}", address.split('"').next().unwrap()), "alice.test").await;
    assert_eq!(server.interrupt(), 0);
}

#[track_caller]
fn assert_refused(outcome: &Outcome, texts: &[&str]) {
    assert_eq!(outcome.code, 2, "{}", outcome.stderr);
    for text in texts {
        assert!(outcome.stderr.contains(text), "{text}: {}", outcome.stderr);
    }
}

/// Starts a server and stops it again.
fn starts(allod: &Allod, environment: &[(&str, &str)]) {
    let mut server = allod.start(&["serve"], environment);
    server.wait_for("\"address\":\"");
    assert_eq!(server.interrupt(), 0);
}

/// Removes what the data says of its keys and names, as data of an earlier version.
async fn forget_facts(database: &Path) {
    let db = sqlite::open(SqliteOptions::new(database)).unwrap();
    let mut txn = Txn::new();
    for name in [meta::MASTER_KEY_CHECK, meta::ROTATION_KEY, meta::HOSTNAME, meta::SERVICE_DID, meta::PORT] {
        txn.run(sql!("DELETE FROM meta WHERE name = $1", name));
    }
    db.commit(txn).await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn a_wrong_key_stops_the_start_and_the_right_one_does_not() {
    let allod = Allod::new();
    let (_plc, url) = plc(&allod);
    let good = serve_environment(&url, "pds");
    fill(&allod, &good).await;

    let bad = with(&good, HTTP_KEY, OTHER_KEY);
    let told = ["another master key", "another did:plc rotation key", "did:key:z", "copy of your secrets"];
    for command in [&["serve"][..], &["config", "check"], &["account", "list"], &["invite", "create"]] {
        assert_refused(&allod.run_with(command, &bad), &told);
    }
    let mut own_master = good.clone();
    own_master.push(("ALLOD_MASTER_KEY_HEX", OTHER_KEY));
    let outcome = allod.run_with(&["serve"], &own_master);
    assert_refused(&outcome, &["another master key: the data has ", "the configuration "]);
    assert!(!outcome.stderr.contains("rotation key:"), "{}", outcome.stderr);
    assert!(!outcome.stderr.contains(OTHER_KEY), "the key itself is not shown");
    starts(&allod, &good);

    // A rotation key that was changed on purpose, with a master key of its own.
    forget_facts(&allod.path("pds/allod.sqlite")).await;
    assert_refused(&allod.run_with(&["serve"], &bad), &["the signing key of did:plc:", "can't be decrypted"]);
    starts(&allod, &good);
    assert_refused(&allod.run_with(&["serve"], &bad), &told);
    let shown = allod.run_with(&["data", "show", "--json"], &bad).json();
    assert_ne!(shown["rotation_key"]["data"], shown["rotation_key"]["configuration"]);
    assert_eq!(shown["hostname"]["data"], shown["hostname"]["configuration"]);
    assert_eq!(allod.run_with(&["data", "accept", "--rotation-key"], &bad).code, 2, "nobody can be asked");
    let accepted = allod.run_with(&["data", "accept", "--rotation-key", "--yes"], &bad).ok();
    assert!(accepted.contains("did:plc rotation key: changed from did:key:"), "{accepted}");
    assert_refused(&allod.run_with(&["serve"], &bad), &["another master key"]);
}

#[tokio::test]
async fn another_name_stops_the_start_until_it_is_confirmed() {
    let allod = Allod::new();
    let (_plc, url) = plc(&allod);
    let old = serve_environment(&url, "pds");
    // Without accounts a name is free to change.
    starts(&allod, &with(&old, "PDS_HOSTNAME", "first.test"));
    fill(&allod, &old).await;

    let new = with(&old, "PDS_HOSTNAME", "second.test");
    let told = ["another hostname: the data has localhost, the configuration second.test", "data accept --hostname"];
    assert_refused(&allod.run_with(&["serve"], &new), &told);
    let checked = allod.run_with(&["config", "check", "--json"], &new);
    assert!(checked.code == 2 && checked.stdout.contains("another hostname"), "{}{}", checked.stdout, checked.stderr);
    assert_refused(
        &allod.run_with(&["serve"], &with(&old, "PDS_SERVICE_DID", "did:web:other.test")),
        &["another service DID: the data has did:web:localhost, the configuration did:web:other.test"],
    );
    let outcome = allod.run_with(&["data", "accept", "--hostname", "--yes"], &new);
    assert!(outcome.stderr.contains("DID documents name the old address"), "{}", outcome.stderr);
    assert!(outcome.ok().contains("hostname: changed from localhost to second.test"));
    starts(&allod, &new);
    assert_refused(&allod.run_with(&["serve"], &old), &["another hostname"]);
    assert!(allod.run_with(&["audit"], &new).ok().contains("data accept"));
}

#[tokio::test]
async fn a_development_network_keeps_its_port_and_to_its_own_data() {
    let allod = Allod::new();
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    let origin = server.wait_for("  Server ");
    server.wait_for("Stop with Ctrl-C.");
    create_account(&origin, "alice.test").await;
    assert_eq!(server.interrupt(), 0);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let outcome = allod.run(&["dev", "--port", &free, "--plc-port", "0"]);
    let port = origin.rsplit(':').next().unwrap();
    assert_refused(&outcome, &[&format!("another port: the data has {port}, the configuration {free}")]);
    // Where any port will do it is the same again.
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    assert_eq!(server.wait_for("  Server "), origin);
    server.wait_for("Stop with Ctrl-C.");
    assert_eq!(server.interrupt(), 0);

    let (_plc, url) = plc(&allod);
    fill(&allod, &serve_environment(&url, "pds")).await;
    let outcome = allod.run(&["dev", "--data-dir", "pds", "--port", "0", "--plc-port", "0"]);
    assert_refused(&outcome, &["pds was not created by `allod dev`"]);
    assert!(!allod.path("pds/dev-secrets.toml").exists());
}

#[test]
fn data_of_others_is_refused_as_it_is() {
    let allod = Allod::new();
    let environment = serve_environment("http://127.0.0.1:1", "pds");
    std::fs::create_dir_all(allod.path("pds/actors")).unwrap();
    std::fs::write(allod.path("pds/account.sqlite"), "x").unwrap();
    for (command, code) in [(&["serve"][..], 2), (&["config", "check"], 2), (&["account", "list"], 2)] {
        let outcome = allod.run_with(command, &environment);
        assert_eq!(outcome.code, code, "{}", outcome.stderr);
        assert!(
            outcome.stderr.contains("belongs to the reference distribution (it contains account.sqlite)"),
            "{}",
            outcome.stderr
        );
    }
    let mut entries: Vec<_> =
        allod.path("pds").read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    entries.sort();
    assert_eq!(entries, ["account.sqlite", "actors"], "nothing was made there");

    std::fs::create_dir(allod.path("other")).unwrap();
    std::fs::write(allod.path("other/allod.sqlite"), "this is no database, but long enough to be read as one").unwrap();
    let environment = serve_environment("http://127.0.0.1:1", "other");
    assert_eq!(allod.run_with(&["serve"], &environment).code, 1);
    let checked = allod.run_with(&["config", "check"], &environment);
    assert!(checked.stderr.contains("could not check whether the data belongs"), "{}", checked.stderr);
}

#[test]
fn what_is_open_to_others_is_told_with_the_remedy() {
    let allod = Allod::new();
    let environment = serve_environment("http://127.0.0.1:1", "pds");
    let open = |path: &str, mode| {
        std::fs::set_permissions(allod.path(path), std::fs::Permissions::from_mode(mode)).unwrap();
    };
    std::fs::create_dir(allod.path("pds")).unwrap();
    open("pds", 0o755);
    allod.write("jwt", "0123456789abcdef0123456789abcdef");
    open("jwt", 0o604);
    let mut environment = with(&environment, "PDS_JWT_SECRET", "");
    environment.push(("PDS_JWT_SECRET_FILE", "jwt"));
    let mut server = allod.start(&["serve"], &environment);
    server.wait_for("chmod o= jwt");
    server.wait_for("chmod 700 pds");
    server.wait_for("\"address\":\"");
    assert_eq!(server.interrupt(), 0);
    let checked = allod.run_with(&["config", "check"], &environment);
    assert!(checked.stderr.contains("chmod 700 pds") && checked.stderr.contains("chmod o= jwt"), "{}", checked.stderr);
    open("pds", 0o700);
    open("jwt", 0o640);
    assert_eq!(allod.run_with(&["config", "check"], &environment).stderr, "");

    allod.write("allod.toml", "admin_password = \"0123456789abcdef0123456789abcdef\"\n");
    open("allod.toml", 0o644);
    let checked = allod.run_with(&["config", "check"], &environment);
    assert!(checked.stderr.contains("warning: allod.toml: holds secrets"), "{}", checked.stderr);
}

#[tokio::test]
async fn root_makes_no_files_in_the_data_of_another_user() {
    use std::os::unix::fs::MetadataExt;

    let allod = Allod::new();
    let (_plc, url) = plc(&allod);
    let environment = serve_environment(&url, "pds");
    fill(&allod, &environment).await;
    let database = allod.path("pds/allod.sqlite");
    if database.metadata().unwrap().uid() != 0 {
        return;
    }
    std::os::unix::fs::chown(&database, Some(12_345), None).unwrap();
    let outcome = allod.run_with(&["account", "list"], &environment);
    assert_refused(&outcome, &["belongs to the user with ID 12345", "sudo -u '#12345'"]);
}
