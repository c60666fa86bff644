//! `allod account migrate-in` between two servers with one directory.

use serde_json::{Value, json};

use crate::process::{Allod, Outcome, Server, client, create_account, serve_environment};

struct Pds {
    server: Server,
    origin: String,
}

fn start(allod: &Allod, plc_url: &str, data: &str) -> Pds {
    start_at(allod, plc_url, data, "0")
}

fn start_at(allod: &Allod, plc_url: &str, data: &str, port: &str) -> Pds {
    let mut environment = serve_environment(plc_url, data);
    environment.push(("PDS_PORT", port));
    let mut server = allod.start(&["serve"], &environment);
    let address = server.wait_for("\"address\":\"");
    let port = address.split('"').next().unwrap().rsplit_once(':').unwrap().1.to_owned();
    Pds { server, origin: format!("http://localhost:{port}") }
}

async fn get(pds: &Pds, path: &str) -> Value {
    client().get(format!("{}{path}", pds.origin)).send().await.unwrap().json().await.unwrap()
}

async fn write(pds: &Pds, session: &Value, record: &Value) {
    let body = json!({ "repo": session["did"], "collection": "com.example.note", "record": record });
    let call = client().post(format!("{}/xrpc/com.atproto.repo.createRecord", pds.origin));
    let reply = call.bearer_auth(session["accessJwt"].as_str().unwrap()).json(&body).send().await.unwrap();
    assert_eq!(reply.status(), 200, "{}", reply.text().await.unwrap());
}

/// Somebody with ten records and a blob.
async fn resident(pds: &Pds) -> Value {
    let alice = create_account(&pds.origin, "alice.test").await;
    let upload = client().post(format!("{}/xrpc/com.atproto.repo.uploadBlob", pds.origin));
    let upload =
        upload.bearer_auth(alice.get("accessJwt").unwrap().as_str().unwrap()).header("content-type", "text/plain");
    let blob: Value = upload.body("a blob").send().await.unwrap().json().await.unwrap();
    write(pds, &alice, &json!({ "$type": "com.example.note", "blob": blob.get("blob").unwrap() })).await;
    for n in 0..9 {
        write(pds, &alice, &json!({ "$type": "com.example.note", "n": n })).await;
    }
    alice
}

async fn code(pds: &Pds) -> String {
    for _ in 0..600 {
        let mail = get(pds, "/dev/mail?format=json").await;
        let messages = mail.get("messages").unwrap().as_array().unwrap();
        let letter = messages.first().and_then(|letter| letter["text"].as_str());
        if let Some(code) = letter.and_then(|text| text.lines().find_map(|line| line.strip_prefix("    "))) {
            return code.to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    panic!("no letter came");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_account_moves_with_all_it_has_and_again_is_no_harm() {
    let allod = Allod::new();
    let mut plc = allod.start(&["plc", "--port", "0"], &[]);
    let plc_url = plc.wait_for("did:plc directory on ");
    let plc_url = plc_url.split(',').next().unwrap();
    let (mut old, mut new) = (start(&allod, plc_url, "old"), start(&allod, plc_url, "new"));
    let alice = resident(&old).await;
    let did = alice["did"].as_str().unwrap();

    let migrate = |more: &[&str]| -> Outcome {
        let command = ["account", "migrate-in", "alice.test", "--from", &old.origin, "--to", &new.origin, "--json"];
        allod.run_with_input(&[&command[..], more].concat(), "correct-horse\n")
    };
    let looked = migrate(&["--dry-run"]).json();
    assert_eq!((&looked["state"], &looked["records"], &looked["blobs"]), (&json!("possible"), &json!(10), &json!(1)));
    let nobody = get(&new, &format!("/xrpc/com.atproto.sync.getRepoStatus?did={did}")).await;
    assert_eq!(nobody["error"], "RepoNotFound", "a look changes nothing");

    let waits = migrate(&[]).json();
    assert_eq!(
        (&waits["state"], &waits["records"], &waits["blobs"]),
        (&json!("waits-for-code"), &json!(10), &json!(1))
    );
    let wrong = migrate(&["--plc-code", "AAAAA-AAAAA"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.stderr.contains("signPlcOperation: InvalidToken"), "{}", wrong.stderr);
    let code = code(&old).await;
    let done = migrate(&["--plc-code", &code]).json();
    assert_eq!((&done["state"], &done["records"], &done["did"]), (&json!("done"), &json!(10), &json!(did)));

    for (pds, active) in [(&old, false), (&new, true)] {
        let status = get(pds, &format!("/xrpc/com.atproto.sync.getRepoStatus?did={did}")).await;
        assert_eq!(status["active"], active);
    }
    let document: Value = client().get(format!("{plc_url}/{did}")).send().await.unwrap().json().await.unwrap();
    assert_eq!(document["service"][0]["serviceEndpoint"], new.origin.as_str());
    let again = migrate(&[]).json();
    assert_eq!(again["state"], "done");
    for pds in [&mut old, &mut new] {
        assert_eq!(pds.server.interrupt(), 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_server_that_is_killed_again_and_again_has_the_account_in_the_end() {
    let allod = Allod::new();
    let mut plc = allod.start(&["plc", "--port", "0"], &[]);
    let plc_url = plc.wait_for("did:plc directory on ");
    let plc_url = plc_url.split(',').next().unwrap();
    let old = start(&allod, plc_url, "old");
    let mut new = start(&allod, plc_url, "new");
    let port = new.origin.rsplit_once(':').unwrap().1.to_owned();
    let alice = resident(&old).await;

    let to = new.origin.clone();
    let command = ["account", "migrate-in", "alice.test", "--from", &old.origin, "--to", &to];
    // Until a line says that a step is done; what the command is at then may be done, too, or not.
    let mut killed_after = |mark: &str, more: &[&str]| {
        let mut migrating = allod.start_with_input(&[&command[..], more].concat(), "correct-horse\n");
        migrating.wait_for(mark);
        new.server.kill();
        migrating.output();
        new = start_at(&allod, plc_url, "new", &port);
    };
    for mark in ["created the account at", "copied 10 records", "copied 1 blobs", "copied the preferences"] {
        killed_after(mark, &[]);
    }
    let again =
        |more: &[&str]| allod.run_with_input(&[&command[..], &["--json"], more].concat(), "correct-horse\n").json();
    assert_eq!(again(&[])["state"], "waits-for-code");
    let code = code(&old).await;
    killed_after("the identity points to the new server", &["--plc-code", &code]);
    killed_after("activated at the new server", &[]);
    let done = again(&[]);
    assert_eq!((&done["state"], &done["records"], &done["blobs"]), (&json!("done"), &json!(10), &json!(1)));
    for (pds, active) in [(&old, false), (&new, true)] {
        let did = alice["did"].as_str().unwrap();
        let status = get(pds, &format!("/xrpc/com.atproto.sync.getRepoStatus?did={did}")).await;
        assert_eq!(status["active"], active);
    }
}

#[test]
fn a_server_that_is_not_there_is_told_of() {
    let command = ["account", "migrate-in", "alice.test", "--from", "http://localhost:9", "--to", "http://localhost:9"];
    let outcome = Allod::new().run_with_input(&command, "correct-horse\n");
    assert_eq!(outcome.code, 1);
    assert!(outcome.stderr.starts_with("error: http://localhost:9: "), "{}", outcome.stderr);
}
