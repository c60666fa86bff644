//! `allod dev`: a whole network from nothing, and the commands that look at it.

use std::net::TcpListener;

use allod_testkit::read_json;

use crate::process::{Allod, Server, client, create_account, exists};

struct Network {
    server: Server,
    origin: String,
    directory: String,
    data: String,
}

fn start(allod: &Allod, arguments: &[&str]) -> Network {
    let mut server = allod.start(&[&["dev", "--port", "0", "--plc-port", "0"], arguments].concat(), &[]);
    let origin = server.wait_for("  Server ");
    let directory = server.wait_for("  Directory ").replace(" (did:plc)", "");
    let data = server.wait_for("  Data ");
    server.wait_for("Stop with Ctrl-C.");
    Network { server, origin, directory, data }
}

#[tokio::test]
async fn a_network_from_nothing_that_leaves_nothing() {
    let allod = Allod::new();
    let mut network = start(&allod, &["--ephemeral"]);

    let health = client().get(format!("{}/xrpc/_health", network.origin)).send().await.unwrap();
    assert_eq!(health.status(), 200);
    let alice = create_account(&network.origin, "alice.test").await;
    let did = alice["did"].as_str().unwrap();
    let document: serde_json::Value =
        client().get(format!("{}/{did}", network.directory)).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["alsoKnownAs"][0], "at://alice.test");

    let target = ["--json", "--data-dir", &network.data];
    let bob = allod.run(&[&["account", "create", "bob.test", "--email", "bob@mail.test"], &target[..]].concat()).json();
    assert!(bob["did"].as_str().unwrap().starts_with("did:plc:"));
    let session = client()
        .post(format!("{}/xrpc/com.atproto.server.createSession", network.origin))
        .json(&serde_json::json!({ "identifier": "bob.test", "password": bob["password"] }))
        .send()
        .await
        .unwrap();
    assert_eq!(session.status(), 200, "the printed password signs in");

    let list = allod.run(&[&["account", "list"], &target[..]].concat()).json();
    let handles: Vec<&str> =
        list["accounts"].as_array().unwrap().iter().map(|account| account["handle"].as_str().unwrap()).collect();
    assert_eq!(handles, ["alice.test", "bob.test"]);
    for name in ["alice.test", did, "alice.test@mail.test"] {
        let shown = allod.run(&[&["account", "show", name], &target[..]].concat()).json();
        assert_eq!((shown["did"].as_str(), shown["status"].as_str()), (Some(did), Some("active")));
    }
    let missing = allod.run(&["account", "show", "carol.test", "--data-dir", &network.data]);
    assert_eq!((missing.code, missing.stderr.as_str()), (1, "error: there is no account carol.test\n"));
    let taken = allod.run(&["account", "create", "bob.test", "--email", "b2@mail.test", "--data-dir", &network.data]);
    assert_eq!((taken.code, taken.stderr.as_str()), (1, "error: Handle already taken: bob.test\n"));

    let codes = allod.run(&[&["invite", "create", "--count", "2", "--uses", "3"], &target[..]].concat()).json();
    assert_eq!(codes["codes"].as_array().unwrap().len(), 2);
    let invites = allod.run(&[&["invite", "list"], &target[..]].concat()).json();
    assert_eq!((invites["invites"].as_array().unwrap().len(), &invites["invites"][0]["uses_left"]), (2, &3.into()));

    assert!(exists(&network.data));
    assert_eq!(network.server.interrupt(), 0);
    assert!(!exists(&network.data), "the data is gone");
}

#[tokio::test]
async fn data_outlives_a_restart_and_is_there_between() {
    let allod = Allod::new();
    let mut network = start(&allod, &[]);
    let alice = create_account(&network.origin, "alice.test").await;
    network.server.kill();

    // Without a server, and found without being named.
    let shown = allod.run(&["account", "show", "alice.test"]);
    assert_eq!(shown.stderr, "using the data in ./allod-dev\n");
    assert!(shown.ok().contains(alice["did"].as_str().unwrap()));
    let created = allod.run_with_input(
        &["account", "create", "bob.test", "--email", "bob@mail.test", "--password-stdin", "--json"],
        "correct-horse\n",
    );
    assert!(created.json().get("password").is_none(), "a password that was given is not repeated");

    let mut network = start(&allod, &[]);
    for handle in ["alice.test", "bob.test"] {
        let session = client()
            .post(format!("{}/xrpc/com.atproto.server.createSession", network.origin))
            .json(&serde_json::json!({ "identifier": handle, "password": "correct-horse" }))
            .send()
            .await
            .unwrap();
        assert_eq!(session.status(), 200, "{handle}");
    }
    let second = allod.run(&["dev", "--port", "0", "--plc-port", "0"]);
    assert_eq!(second.code, 1);
    assert!(second.stderr.contains("in use by another process"), "{}", second.stderr);
    assert_eq!(network.server.interrupt(), 0);
}

#[test]
fn a_busy_port_is_named_with_its_flag() {
    let allod = Allod::new();
    let busy = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = busy.local_addr().unwrap().port().to_string();
    for (flag, other) in [("--port", "--plc-port"), ("--plc-port", "--port")] {
        let outcome = allod.run(&["dev", "--ephemeral", flag, &port, other, "0"]);
        let expected = format!("error: port {port} is in use by another process; choose another with {flag}\n");
        assert_eq!((outcome.code, outcome.stderr), (1, expected));
    }
}

#[test]
fn no_data_is_wrong_usage() {
    let allod = Allod::new();
    let outcome = allod.run(&["account", "list"]);
    assert_eq!(outcome.code, 2);
    for place in ["--data-dir", "ALLOD_DATA_DIRECTORY", "allod.toml does not", "/etc/allod/allod.toml", "./allod-dev"] {
        assert!(outcome.stderr.contains(place), "{place}: {}", outcome.stderr);
    }
    let outcome = allod.run(&["account", "list", "--data-dir", "nowhere"]);
    assert_eq!((outcome.code, outcome.stderr.contains("no Allod data in nowhere")), (2, true));
}

#[tokio::test]
async fn flags_choose_the_address_and_jetstream_and_ignored_names_are_told() {
    let allod = Allod::new();
    let arguments = ["dev", "--ephemeral", "--port", "0", "--plc-port", "0", "--bind", "0.0.0.0", "--jetstream"];
    let mut server = allod.start(&arguments, &[("ALLOD_JETSTREAM", "true"), ("PDS_HOSTNAME", "x.test")]);
    let origin = server.wait_for("  Server ");
    assert!(server.wait_for("  Jetstream ").ends_with("/subscribe"));
    let banner = server.wait_for("-d '");
    let body = read_json(banner.trim_end_matches('\''));
    let readme = include_str!("../../../../README.md");
    assert!(readme.contains(&format!("\"password\": {}", body["password"])), "README and banner have one password");
    server.wait_for("Stop with Ctrl-C.");
    let url = origin.replace("http://", "ws://");
    assert!(allod_testkit::Stream::open(&format!("{url}/subscribe"), &[]).await.is_ok());
    assert_eq!(server.interrupt(), 0);
    // Warnings come by another stream than the banner, before or behind it.
    let output = server.output();
    assert!(output.contains("`allod dev` ignores these settings: ALLOD_JETSTREAM, PDS_HOSTNAME"), "{output}");
    assert!(output.contains("warning: the server listens on 0.0.0.0"), "{output}");
}
