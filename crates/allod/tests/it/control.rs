//! The control socket of a running server, spoken to by hand.

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    path::Path,
};

use allod_testkit::read_json;
use serde_json::{Value, json};

use crate::process::{Allod, Server, create_account};

fn start(allod: &Allod) -> Server {
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    server.wait_for("Stop with Ctrl-C.");
    server
}

/// Sends bytes and reads what comes back until the server closes; none when it closes without a word.
fn exchange(socket: &Path, sent: &[u8]) -> Option<Value> {
    let mut stream = UnixStream::connect(socket).unwrap();
    // A server that has read enough may close while we are still sending.
    let _ = stream.write_all(sent);
    let _ = stream.shutdown(std::net::Shutdown::Write);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    (!answer.is_empty()).then(|| read_json(&answer))
}

#[test]
fn what_is_no_command_changes_nothing_and_breaks_nothing() {
    let allod = Allod::new();
    let mut server = start(&allod);
    let socket = allod.path("allod-dev/control.sock");

    let nested = "{\"$serde_json::private::RawValue\":".repeat(1000) + "\n";
    let refused = [nested.as_str(), "{}\n", "[]\n", "nonsense\n", "\n", "{\"command\":\"no_such\"}\n"];
    let extra = "{\"command\":\"invite_list\",\"limit\":1,\"sql\":\"DROP TABLE accounts\"}\n";
    for line in refused.into_iter().chain([extra]) {
        let answer = exchange(&socket, line.as_bytes()).unwrap();
        assert_eq!(answer["err"]["error"], "InvalidRequest", "{line}");
    }
    assert_eq!(exchange(&socket, b""), None);
    assert_eq!(exchange(&socket, b"{\"command\":\"invite_list\",\"limit\":1}"), None, "a line without its end");
    assert_eq!(exchange(&socket, &vec![b'['; 1 << 20]), None, "a line beyond the limit");

    for (command, error) in [
        (json!({ "command": "invite_create", "uses": 0, "count": 1, "for_account": null }), "InvalidRequest"),
        (json!({ "command": "invite_create", "uses": 1, "count": 0, "for_account": null }), "InvalidRequest"),
        (json!({ "command": "invite_create", "uses": 1, "count": 1, "for_account": "me" }), "InvalidRequest"),
        (json!({ "command": "account_show", "account": "" }), "NotFound"),
        (
            json!({ "command": "account_create", "handle": "a b", "email": "a@mail.test", "password": "correct-horse" }),
            "InvalidHandle",
        ),
        (
            json!({ "command": "account_create", "handle": "alice.test", "email": "a@mail.test", "password": "x" }),
            "InvalidPassword",
        ),
        (
            json!({ "command": "account_create", "handle": "alice.test", "email": null, "password": "correct-horse" }),
            "InvalidRequest",
        ),
        (
            json!({ "command": "account_create", "handle": "alice.example.net", "email": "a@mail.test", "password": "correct-horse" }),
            "UnsupportedDomain",
        ),
    ] {
        let answer = exchange(&socket, format!("{command}\n").as_bytes()).unwrap();
        assert_eq!(answer["err"]["error"], error, "{command}: {answer}");
    }
    let answer = exchange(&socket, b"{\"command\":\"account_list\",\"cursor\":null,\"limit\":9}\n").unwrap();
    assert_eq!(answer, json!({ "ok": { "accounts": { "accounts": [] } } }));
    assert_eq!(server.interrupt(), 0);
}

#[test]
fn a_socket_left_behind_is_replaced() {
    let allod = Allod::new();
    start(&allod).kill();
    let socket = allod.path("allod-dev/control.sock");
    assert!(socket.exists(), "a killed server leaves its socket");
    assert_eq!(allod.run(&["invite", "list", "--json"]).json(), json!({ "invites": [] }));

    let mut server = start(&allod);
    assert!(exchange(&socket, b"{\"command\":\"invite_list\",\"limit\":1}\n").unwrap().get("ok").is_some());
    assert_eq!(server.interrupt(), 0);
    assert!(!socket.exists());
    let left: Vec<_> =
        std::fs::read_dir(allod.path("allod-dev")).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(!left.iter().any(|name| name.to_string_lossy().starts_with(".control")), "{left:?}");
}

#[tokio::test]
async fn the_firehose_is_seen_with_a_server_and_without() {
    let allod = Allod::new();
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    let port = server.wait_for("Server     http://localhost:");
    create_account(&format!("http://127.0.0.1:{}", port.trim()), "alice.test").await;
    server.wait_for("Stop with Ctrl-C.");
    let seen = allod.run(&["firehose", "status", "--json"]).json();
    assert_eq!((&seen["newest_seq"], &seen["oldest_seq"]), (&json!(4), &json!(1)));
    assert_eq!((&seen["subscribers"], &seen["relays"]), (&json!([]), &json!([])));
    assert_eq!(server.interrupt(), 0);
    let text = allod.run(&["firehose", "status"]).ok();
    assert!(text.contains("newest event  4") && text.contains("oldest event  1 at "), "{text}");
}
