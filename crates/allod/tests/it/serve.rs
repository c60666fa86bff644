//! `allod serve` with the reference's names, beside `allod plc`.

use std::os::unix::fs::PermissionsExt;

use crate::process::{Allod, client, create_account, serve_environment};

#[tokio::test]
async fn the_names_of_the_reference_start_a_working_server() {
    let allod = Allod::new();
    let mut plc = allod.start(&["plc", "--port", "0"], &[]);
    let plc_url = plc.wait_for("did:plc directory on ");
    let plc_url = plc_url.split(',').next().unwrap();
    let mut environment = serve_environment(plc_url, "pds");
    environment.push(("PDS_REDIS_SCRATCH_ADDRESS", "localhost:6379"));
    let mut server = allod.start(&["serve"], &environment);
    server.wait_for("these settings are not supported yet and have no effect: PDS_REDIS_SCRATCH_ADDRESS");
    let address = server.wait_for("\"address\":\"");
    let origin = format!("http://{}", address.split('"').next().unwrap());

    let described = client().get(format!("{origin}/xrpc/com.atproto.server.describeServer")).send().await.unwrap();
    let described: serde_json::Value = described.json().await.unwrap();
    assert_eq!(
        (&described["did"], &described["availableUserDomains"][0]),
        (&"did:web:localhost".into(), &".test".into())
    );
    create_account(&origin, "alice.test").await;

    for (path, mode) in [("pds", 0o700), ("pds/control.sock", 0o600), ("pds/allod.sqlite", 0o600)] {
        let found = std::fs::metadata(allod.path(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!(found, mode, "{path}");
    }
    let list = allod.run_with(&["account", "list"], &environment).ok();
    assert!(list.contains("alice.test"), "{list}");

    assert_eq!(server.interrupt(), 0);
    assert!(!allod.path("pds/control.sock").exists());
    assert_eq!(plc.interrupt(), 0);
}

#[test]
fn a_server_without_its_secrets_does_not_start() {
    let outcome = Allod::new().run(&["serve"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("ALLOD_JWT_SECRET or PDS_JWT_SECRET"), "{}", outcome.stderr);
}

#[test]
#[cfg(target_os = "linux")]
fn as_many_files_as_allowed_are_opened_and_no_core_is_dumped() {
    let allod = Allod::new();
    let environment = serve_environment("http://127.0.0.1:1", "pds");
    let mut server = allod.start_limited("-S -n 512", &["serve"], &environment);
    server.wait_for("\"serving\"");
    let (soft, hard) = server.limit("Max open files");
    assert_eq!(soft, hard);
    assert_eq!(server.limit("Max core file size").0, "0");
    assert_eq!(server.interrupt(), 0);

    let mut server = allod.start_limited("-n 600", &["serve"], &environment);
    server.wait_for("the limit of open files is low");
    assert!(server.output_so_far().contains("\"connections_max\":300"), "{}", server.output_so_far());
    server.wait_for("\"serving\"");
    assert_eq!(server.interrupt(), 0);
}

#[test]
fn a_start_tells_which_proxies_are_trusted() {
    let allod = Allod::new();
    let mut environment = serve_environment("http://127.0.0.1:1", "pds");
    environment.push(("ALLOD_TRUSTED_PROXIES", "loopback,172.18.0.0/16"));
    let mut server = allod.start(&["serve"], &environment);
    server.wait_for("\"trusted_proxies\":\"127.0.0.0/8,::1/128,172.18.0.0/16\"");
    server.wait_for("\"serving\"");
    assert_eq!(server.interrupt(), 0);
    environment.push(("ALLOD_TRUSTED_PROXIES", "everybody"));
    let refused = allod.run_with(&["serve"], &environment);
    assert_eq!(refused.code, 2);
    assert!(
        refused.stderr.contains("\"everybody\" is not an IP address, a network, or one of loopback"),
        "{}",
        refused.stderr
    );
}
