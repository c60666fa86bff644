//! `allod repo`: with a running server, and on its data alone.

use std::fs;

use allod_store::{
    Statement, Txn,
    sqlite::{self, SqliteOptions},
};
use allod_testkit::read_json;
use serde_json::{Value, json};

use crate::process::{Allod, Outcome, Server, client, create_account};

fn start(allod: &Allod) -> (Server, String) {
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    let origin = server.wait_for("  Server ");
    server.wait_for("Stop with Ctrl-C.");
    (server, origin)
}

async fn post(origin: &str, account: &Value, number: usize) {
    let record =
        json!({ "$type": "app.bsky.feed.post", "text": format!("{number}"), "createdAt": "2026-11-25T12:00:00.000Z" });
    let body = json!({ "repo": account["did"], "collection": "app.bsky.feed.post", "record": record });
    let url = format!("{origin}/xrpc/com.atproto.repo.createRecord");
    let token = account["accessJwt"].as_str().unwrap();
    let response = client().post(url).bearer_auth(token).json(&body).send().await.unwrap();
    assert_eq!(response.status(), 200, "{}", response.text().await.unwrap());
}

/// Runs `allod repo` on the network's data.
fn repo(allod: &Allod, arguments: &[&str]) -> Outcome {
    allod.run(&[&["repo"], arguments, &["--data-dir", "allod-dev"]].concat())
}

/// Changes the data behind everybody's back.
async fn damage(allod: &Allod, sql: String) {
    let db = sqlite::open(SqliteOptions::new(allod.path("allod-dev/allod.sqlite"))).unwrap();
    let mut txn = Txn::new();
    txn.run(Statement::new(sql.leak(), []));
    db.commit(txn).await.unwrap();
    db.close().await;
}

#[tokio::test]
async fn a_repository_goes_out_and_comes_back_in() {
    let allod = Allod::new();
    let (mut server, origin) = start(&allod);
    let alice = create_account(&origin, "alice.test").await;
    let did = alice["did"].as_str().unwrap();
    for number in 0..3 {
        post(&origin, &alice, number).await;
    }
    let verified = repo(&allod, &["verify", "--all"]).ok();
    assert_eq!(verified, format!("valid    {did}  alice.test  3 records\n"));
    repo(&allod, &["export", "alice.test", "--out", "alice.car"]).ok();
    let whole = fs::read(allod.path("alice.car")).unwrap();
    let read = client().get(format!("{origin}/xrpc/com.atproto.sync.getRepo?did={did}")).send().await.unwrap();
    assert_eq!(read.bytes().await.unwrap(), whole);
    assert!(!allod.path("alice.car.part").exists());

    post(&origin, &alice, 3).await;
    let imported = repo(&allod, &["import", did, "alice.car", "--json"]).json();
    assert_eq!((&imported["did"], &imported["records"]), (&alice["did"], &json!(3)));
    let latest =
        client().get(format!("{origin}/xrpc/com.atproto.sync.getLatestCommit?did={did}")).send().await.unwrap();
    let latest: Value = latest.json().await.unwrap();
    assert_eq!((&latest["cid"], &latest["rev"]), (&imported["commit"], &imported["rev"]));

    let bob = create_account(&origin, "bob.test").await;
    let foreign = repo(&allod, &["import", "bob.test", "alice.car"]);
    let message = format!("error: The repository is that of {did}, not of {}\n", bob["did"].as_str().unwrap());
    assert_eq!((foreign.code, foreign.stderr.as_str()), (1, message.as_str()));
    fs::write(allod.path("half.car"), &whole[..whole.len() / 2]).unwrap();
    let half = repo(&allod, &["import", did, "half.car"]);
    assert_eq!((half.code, half.stderr.as_str()), (1, "error: Invalid CAR file: the file ends too early\n"));
    for arguments in [&["verify", "carol.test"][..], &["export", "carol.test", "--out", "carol.car"]] {
        let missing = repo(&allod, arguments);
        assert_eq!((missing.code, missing.stderr.as_str()), (1, "error: there is no account carol.test\n"));
    }
    assert!(!allod.path("carol.car").exists() && !allod.path("carol.car.part").exists());
    assert_eq!(server.interrupt(), 0);

    // The same without a server.
    let verified = repo(&allod, &["verify", "--all", "--json"]).json();
    assert_eq!((&verified["checked"], &verified["damaged"]), (&json!(2), &json!(0)));
    assert_eq!(verified["repositories"][0]["rev"], imported["rev"]);
    repo(&allod, &["export", did, "--out", "again.car"]).ok();
    let again = repo(&allod, &["import", did, "again.car", "--json"]).json();
    assert_eq!(again["records"], 3);
    assert!(again["rev"].as_str() > imported["rev"].as_str(), "the revision ascends");
}

#[tokio::test]
async fn what_is_damaged_is_found_and_left_as_it_is() {
    let allod = Allod::new();
    let (mut server, origin) = start(&allod);
    let mut accounts = Vec::new();
    for name in ["alice", "bob", "carol", "dan", "erin"] {
        let account = create_account(&origin, &format!("{name}.test")).await;
        post(&origin, &account, 0).await;
        post(&origin, &account, 1).await;
        accounts.push(account);
    }
    repo(&allod, &["export", "bob.test", "--out", "bob.car"]).ok();
    assert_eq!(server.interrupt(), 0);
    let of = |index: usize| {
        let did = accounts[index]["did"].as_str().unwrap();
        format!("(SELECT record_set FROM repos WHERE did = '{did}')")
    };
    damage(&allod, format!(
            "DELETE FROM records WHERE record_set = {} AND path = (SELECT MAX(path) FROM records WHERE record_set = {})",
            of(1),
            of(1)
        ),
    ).await;
    damage(&allod, format!("UPDATE records SET block = x'a0' WHERE record_set = {}", of(2))).await;
    damage(&allod, format!(
            "INSERT INTO record_blobs (record_set, cid, path, rev) SELECT {}, cid, path, 1 FROM records WHERE record_set = {}",
            of(3),
            of(3)
        ),
    ).await;
    let erin = accounts[4]["did"].as_str().unwrap();
    damage(&allod, format!(
            "UPDATE repos SET commit_block = (SELECT commit_block FROM repos WHERE did <> '{erin}' LIMIT 1) WHERE did = '{erin}'"
        ),
    ).await;

    let found = repo(&allod, &["verify", "--all", "--json"]);
    assert_eq!((found.code, found.stderr.as_str()), (1, "error: damaged: 4 of 5\n"));
    let found = read_json(&found.stdout);
    let problems = |index: usize| {
        let problems = found["repositories"][index]["problems"].as_array().unwrap();
        problems.iter().map(|problem| problem.as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(problems(0), [""; 0]);
    assert!(problems(1)[0].starts_with("the records make the tree "), "{:?}", problems(1));
    assert!(problems(2).iter().all(|problem| problem.ends_with("the bytes are not those of the identifier")));
    assert_eq!(problems(2).len(), 2);
    assert!(problems(3)[0].contains("is listed that it has not"), "{:?}", problems(3));
    let expected = ["the commit: the bytes are not those of the identifier", "the commit: it is another account's"];
    assert_eq!(problems(4)[..2], expected);

    let again = repo(&allod, &["verify", "bob.test"]);
    assert_eq!((again.code, again.stderr.as_str()), (1, "error: damaged: 1 of 1\n"));
    let did = accounts[1]["did"].as_str().unwrap();
    assert!(again.stdout.starts_with(&format!("damaged  {did}  bob.test  1 records\n  the records make the tree ")));
    assert_eq!(repo(&allod, &["verify", "alice.test"]).code, 0);

    // A damaged repository is neither shown nor written to, but it can be replaced.
    assert_eq!(repo(&allod, &["export", "bob.test", "--out", "damaged.car"]).code, 1);
    repo(&allod, &["import", "bob.test", "bob.car"]).ok();
    assert!(repo(&allod, &["verify", "bob.test"]).ok().ends_with("bob.test  2 records\n"));
}

#[test]
fn wrong_usage_is_told() {
    let allod = Allod::new();
    for arguments in [&["repo", "verify"][..], &["repo", "verify", "a.test", "--all"], &["repo", "import", "a.test"]] {
        assert_eq!(allod.run(arguments).code, 2, "{arguments:?}");
    }
    let missing = repo(&allod, &["import", "a.test", "nothing.car"]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.starts_with("error: can't read nothing.car: "), "{}", missing.stderr);
    insta::assert_snapshot!("help_repo", allod.run(&["repo", "--help"]).snapshot(&allod));
}
