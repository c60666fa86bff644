//! `allod status`: of a running server alone.

use allod_store::{
    Statement, Txn,
    sqlite::{self, SqliteOptions},
};
use serde_json::{Value, json};

use crate::process::{Allod, Outcome, Server, client, create_account};

fn start(allod: &Allod) -> (Server, String) {
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    let origin = server.wait_for("  Server ");
    server.wait_for("Stop with Ctrl-C.");
    (server, origin)
}

fn status(allod: &Allod, arguments: &[&str]) -> Outcome {
    allod.run(&[&["status", "--data-dir", "allod-dev"], arguments].concat())
}

#[tokio::test]
async fn says_whether_the_server_is_well_and_what_to_do() {
    let allod = Allod::new();
    let none = status(&allod, &[]);
    assert_eq!(none.code, 1);
    assert!(
        none.stderr.starts_with("error: no running server uses the data in allod-dev; start it"),
        "{}",
        none.stderr
    );

    let (mut server, origin) = start(&allod);
    let alice = create_account(&origin, "alice.test").await;
    let did = alice["did"].as_str().unwrap();
    let body = json!({ "repo": did, "collection": "com.example.note", "rkey": "a", "record": { "n": 1 } });
    let url = format!("{origin}/xrpc/com.atproto.repo.createRecord");
    let created =
        client().post(url).bearer_auth(alice["accessJwt"].as_str().unwrap()).json(&body).send().await.unwrap();
    assert_eq!(created.status(), 200);
    let well = status(&allod, &[]).ok();
    assert!(well.contains("accepts writes") && well.contains("yes"), "{well}");
    let well = status(&allod, &["--json"]).json();
    assert_eq!((&well["takes_writes"], &well["problems"]), (&json!(true), &json!([])));
    assert_eq!(server.interrupt(), 0);

    let db = sqlite::open(SqliteOptions::new(allod.path("allod-dev/allod.sqlite"))).unwrap();
    let mut txn = Txn::new();
    let damage = "UPDATE records SET block = x'a0' WHERE path = 'com.example.note/a'";
    txn.run(Statement::new(damage, []));
    db.commit(txn).await.unwrap();
    db.close().await;
    let (mut server, origin) = start(&allod);
    let url = format!("{origin}/xrpc/com.atproto.repo.getRecord?repo={did}&collection=com.example.note&rkey=a");
    assert_eq!(client().get(url).send().await.unwrap().status(), 503);
    let ill = status(&allod, &[]);
    assert_eq!(ill.code, 1);
    assert!(ill.stdout.contains(&format!("at://{did}/com.example.note/a: its bytes are not those of its CID")));
    assert!(ill.stderr.contains("remedy: "), "{}", ill.stderr);
    let ill = status(&allod, &["--json"]);
    let found: Value = serde_json::from_str(&ill.stdout).unwrap();
    assert_eq!((ill.code, &found["damaged_data"][0]["count"]), (1, &json!(1)));

    // What `repo verify` finds of blobs and events.
    let verify = allod.run(&["repo", "verify", "--all", "--blobs", "--events", "--json", "--data-dir", "allod-dev"]);
    let found: Value = serde_json::from_str(&verify.stdout).unwrap();
    assert_eq!((verify.code, &found["damaged"], &found["repositories"][0]["blobs"]), (1, &json!(1), &json!(0)));
    assert_eq!(found["events"]["damaged"], json!([]));
    assert_eq!(server.interrupt(), 0);
}
