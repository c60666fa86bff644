//! Event numbers after a restore: what may have been seen is not given out again.

use std::time::Duration;

use allod_testkit::{Stream, Told};

use serde_json::Value;

use crate::process::{Allod, Server};

fn environment(plc_url: &str) -> Vec<(&str, &str)> {
    vec![
        ("PDS_HOSTNAME", "pds.example.com"),
        ("PDS_PORT", "0"),
        ("PDS_DATA_DIRECTORY", "pds"),
        ("PDS_JWT_SECRET", "0123456789abcdef0123456789abcdef"),
        (
            "PDS_PLC_ROTATION_KEY_K256_PRIVATE_KEY_HEX",
            "1111111111111111111111111111111111111111111111111111111111111111",
        ),
        ("PDS_DID_PLC_URL", plc_url),
        ("ALLOD_BIND_ADDRESS", "127.0.0.1"),
        ("ALLOD_LOG_FORMAT", "json"),
    ]
}

fn serve(allod: &Allod, environment: &[(&str, &str)]) -> (Server, String) {
    let mut server = allod.start(&["serve"], environment);
    let address = server.wait_for("\"address\":\"");
    (server, format!("ws://{}", address.split('"').next().unwrap()))
}

fn create(allod: &Allod, environment: &[(&str, &str)], front: &str) {
    let (handle, email) = (format!("{front}.pds.example.com"), format!("{front}@mail.test"));
    allod.run_with(&["account", "create", &handle, "--email", &email], environment).ok();
}

fn newest(allod: &Allod, environment: &[(&str, &str)]) -> i64 {
    allod
        .run_with(&["firehose", "status", "--json"], environment)
        .json()
        .get("newest_seq")
        .and_then(Value::as_i64)
        .unwrap()
}

/// Copies the closed database.
fn copy(allod: &Allod, from: &str, to: &str) {
    std::fs::create_dir_all(allod.path(to)).unwrap();
    for name in ["allod.sqlite", "allod.sqlite-wal"] {
        let (from, to) = (allod.path(&format!("{from}/{name}")), allod.path(&format!("{to}/{name}")));
        let _ = std::fs::remove_file(&to);
        if from.exists() {
            std::fs::copy(from, to).unwrap();
        }
    }
}

#[tokio::test]
async fn numbers_go_on_above_all_that_may_have_been_seen() {
    let allod = Allod::new();
    let mut plc = allod.start(&["plc", "--port", "0"], &[]);
    let plc_url = plc.wait_for("did:plc directory on ");
    let environment = environment(plc_url.split(',').next().unwrap());

    let (mut server, _) = serve(&allod, &environment);
    create(&allod, &environment, "alice");
    let at_copy = newest(&allod, &environment);
    assert!(at_copy > 28_000_000_000, "numbers begin at the milliseconds since 2026: {at_copy}");
    assert_eq!(server.interrupt(), 0);
    copy(&allod, "pds", "copy");

    let (mut server, origin) = serve(&allod, &environment);
    let ahead = newest(&allod, &environment) + 400_000_000;
    allod.run_with(&["firehose", "raise-sequence", &ahead.to_string()], &environment).ok();
    create(&allod, &environment, "bobby");
    let seen = newest(&allod, &environment);
    assert!(seen > ahead, "{seen}");
    // Written behind the events.
    let given = || {
        let text = std::fs::read_to_string(allod.path("pds/event-sequence")).unwrap_or_default();
        text.lines().find_map(|line| line.strip_prefix("given ")?.parse::<i64>().ok()).unwrap_or(0)
    };
    while given() < ahead {
        std::thread::yield_now();
    }
    let mut stream =
        Stream::open(&format!("{origin}/xrpc/com.atproto.sync.subscribeRepos?cursor={seen}"), &[]).await.unwrap();
    assert_eq!(server.interrupt(), 0);
    while let Told::Binary(_) = stream.next().await {}

    // The database is from before; the file beside it is not.
    copy(&allod, "copy", "pds");
    let mut server = allod.start(&["serve"], &environment);
    server.wait_for("probably restored from a copy");
    let address = server.wait_for("\"address\":\"");
    assert!(newest(&allod, &environment) >= seen, "no number is given out again");
    let origin = format!("ws://{}", address.split('"').next().unwrap());

    // And a subscriber that has seen still more is told of.
    let cursor = seen + 900_000_000;
    let url = format!("{origin}/xrpc/com.atproto.sync.subscribeRepos?cursor={cursor}");
    let mut stream = Stream::open(&url, &[]).await.unwrap();
    while let Told::Binary(_) = stream.next().await {}
    server.wait_for("a subscriber has seen event numbers");
    let status = allod.run_with(&["firehose", "status", "--json"], &environment).json();
    assert_eq!((&status["ahead"][0]["cursor"], &status["ahead"][0]["times"]), (&cursor.into(), &1.into()), "{status}");
    let shown = allod.run_with(&["firehose", "status"], &environment);
    assert!(shown.stderr.contains("raise-sequence"), "{}", shown.stderr);
    assert!(shown.ok().contains("Ahead of the newest event"));

    let raise = |number: &str| allod.run_with(&["firehose", "raise-sequence", number, "--json"], &environment);
    assert_eq!(raise(&(seen - 1).to_string()).code, 1);
    assert_eq!(raise("9007199254740991").code, 1);
    let raised = raise(&cursor.to_string()).json();
    assert_eq!(raised["newest_seq"], cursor);
    let status = allod.run_with(&["firehose", "status", "--json"], &environment).json();
    assert_eq!(status["ahead"], serde_json::json!([]));
    let mut stream = Stream::open(&url, &[]).await.unwrap();
    create(&allod, &environment, "carol");
    let told = tokio::time::timeout(Duration::from_mins(1), stream.next()).await.unwrap();
    assert!(matches!(told, Told::Binary(_)), "the subscriber gets events again");
    assert!(allod.run_with(&["audit"], &environment).ok().contains("firehose raise-sequence"));
    assert_eq!(server.interrupt(), 0);
}

#[tokio::test]
async fn a_server_that_began_anew_is_above_the_numbers_of_the_old_one() {
    let allod = Allod::new();
    let mut plc = allod.start(&["plc", "--port", "0"], &[]);
    let plc_url = plc.wait_for("did:plc directory on ");
    let environment = environment(plc_url.split(',').next().unwrap());
    let mut last = 0;
    for front in ["alice", "bobby"] {
        let (mut server, _) = serve(&allod, &environment);
        create(&allod, &environment, front);
        let newest = newest(&allod, &environment);
        assert!(newest > last, "{newest} after {last}");
        last = newest;
        assert_eq!(server.interrupt(), 0);
        std::fs::remove_dir_all(allod.path("pds")).unwrap();
    }
}
