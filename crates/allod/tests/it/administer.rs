//! `allod takedown`, `allod admin-token`, `allod audit`, and what `allod account` and `allod invite` change.

use serde_json::{Value, json};

use crate::process::{Allod, client, create_account};

#[tokio::test]
async fn an_owner_gets_a_recovery_key() {
    let allod = Allod::new();
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    let origin = server.wait_for("  Server ").trim().to_owned();
    server.wait_for("Stop with Ctrl-C.");
    create_account(&origin, "alice.test").await;
    assert!(allod.run(&["account", "show", "alice.test"]).ok().contains("There is no recovery key"));
    let added = allod.run(&["account", "add-recovery-key", "alice.test", "--generate", "--json"]).json();
    assert_eq!(added["rotation_keys"].as_array().unwrap().len(), 2);
    assert_eq!(added["private_key_k256_hex"].as_str().unwrap().len(), 64);
    assert!(!allod.run(&["account", "show", "alice.test"]).ok().contains("There is no recovery key"));
    let again = added["rotation_keys"][0].as_str().unwrap();
    assert!(allod.run(&["account", "add-recovery-key", "alice.test", again]).ok().contains(again));
    assert_eq!(allod.run(&["account", "add-recovery-key", "alice.test"]).code, 2);
    assert_eq!(server.interrupt(), 0);
}

#[tokio::test]
async fn an_operator_lets_in_who_waits() {
    let allod = Allod::new();
    let environment = [("ALLOD_SIGN_UP_QUEUE", "true")];
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &environment);
    let origin = server.wait_for("  Server ").trim().to_owned();
    server.wait_for("Stop with Ctrl-C.");
    let mut tokens = Vec::new();
    for name in ["alice", "bob", "carol", "dora"] {
        let session = create_account(&origin, &format!("{name}.test")).await;
        tokens.push(session["accessJwt"].as_str().unwrap().to_owned());
    }
    let listed = allod.run(&["queue", "list", "--json"]).json();
    let waiting = listed["waiting"].as_array().unwrap();
    let names: Vec<&Value> = waiting.iter().map(|waiting| &waiting["handle"]).collect();
    assert_eq!(names, ["alice.test", "bob.test", "carol.test", "dora.test"]);
    assert!(allod.run(&["account", "show", "bob.test"]).ok().contains("waits in the sign-up queue"));
    assert_eq!(allod.run(&["queue", "admit", "bob.test"]).ok(), "bob.test: admitted\n");
    assert_eq!(allod.run(&["queue", "reject", "carol.test"]).ok(), "carol.test: rejected\n");
    assert_eq!(allod.run(&["queue", "admit", "--next", "1", "--json"]).json(), json!([{ "subject": "alice.test" }]));
    let again = allod.run(&["queue", "admit", "bob.test", "dora.test"]);
    assert_eq!((again.code, again.stdout.as_str()), (1, "dora.test: admitted\n"));
    assert!(again.stderr.contains("bob.test: the account does not wait to be let in"), "{}", again.stderr);
    assert_eq!(allod.run(&["queue", "admit"]).code, 2);
    assert!(allod.run(&["queue", "list"]).ok().starts_with("HANDLE"));
    for (token, status) in tokens.iter().zip([200, 200, 400, 200]) {
        let url = format!("{origin}/xrpc/com.atproto.temp.checkSignupQueue");
        let reply = client().get(url).bearer_auth(token).send().await.unwrap();
        assert_eq!(reply.status().as_u16(), status);
        let body: Value = reply.json().await.unwrap();
        assert!(status != 200 || body == json!({ "activated": true }), "{body}");
    }
    assert!(allod.run(&["audit"]).ok().contains("queue refuse"));
    assert_eq!(server.interrupt(), 0);
}

#[tokio::test]
async fn an_operator_creates_reserved_names_and_ends_accounts() {
    let allod = Allod::new();
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    server.wait_for("Stop with Ctrl-C.");
    let create = ["account", "create", "admin.test", "--email", "a@mail.test"];
    let refused = allod.run(&create);
    assert!(refused.code == 1 && refused.stderr.contains("--allow-reserved"), "{}", refused.stderr);
    let created = allod.run(&[&create[..], &["--allow-reserved", "--json"]].concat());
    assert!(created.stderr.contains("admin.test is a reserved handle"), "{}", created.stderr);
    let did = created.json()["did"].as_str().unwrap().to_owned();
    let plain = allod.run(&["account", "create", "alice.test", "--email", "b@mail.test", "--allow-reserved"]);
    assert!(!plain.stderr.contains("reserved"), "{}", plain.stderr);

    let status = || allod.run(&["account", "show", &did, "--json"]).json()["status"].clone();
    for command in ["deactivate", "delete"] {
        let asked = allod.run(&["account", command, "admin.test"]);
        assert!(asked.code == 2 && asked.stderr.contains("confirm with --yes"), "{}", asked.stderr);
    }
    assert_eq!(status(), "active");
    let done = allod.run(&["account", "deactivate", "admin.test", "--yes", "--json"]).json();
    assert_eq!((done, status()), (json!({ "subject": did }), json!("deactivated")));
    assert_eq!(allod.run(&["account", "activate", &did]).ok(), format!("{did}: activated\n"));
    assert_eq!(status(), "active");
    allod.run(&["takedown", "account", &did]).ok();
    let refused = allod.run(&["account", "activate", &did]);
    assert!(refused.code == 1 && refused.stderr.contains("allod takedown account"), "{}", refused.stderr);
    allod.run(&["takedown", "account", &did, "--undo"]).ok();
    assert_eq!(server.interrupt(), 0);

    assert_eq!(allod.run(&["account", "delete", "a@mail.test", "--yes"]).ok(), format!("{did}: deleted\n"));
    let gone = allod.run(&["account", "delete", &did, "--yes"]);
    assert!(gone.code == 1 && gone.stderr.contains("there is no account"), "{}", gone.stderr);
    assert!(allod.run(&["handle", "list"]).ok().contains("admin.test"), "its handle is held");
    allod.run(&["account", "delete", "alice.test", "--yes", "--free-handle"]).ok();
    assert!(!allod.run(&["handle", "list"]).ok().contains("alice.test"));
    let log = allod.run(&["audit"]).ok();
    for method in ["account deactivate", "account activate", "account delete"] {
        assert!(log.contains(method), "{method}: {log}");
    }
}

#[tokio::test]
async fn no_list_ends_without_saying_so() {
    let allod = Allod::new();
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    let origin = server.wait_for("  Server ");
    server.wait_for("Stop with Ctrl-C.");
    let code = allod.run(&["invite", "create", "--uses", "9"]).ok().trim().to_owned();
    allod.run(&["invite", "create", "--count", "4"]).ok();
    for n in 0..3 {
        let body = json!({
            "handle": format!("user{n}.test"), "email": format!("u{n}@mail.test"), "password": "correct-horse",
            "inviteCode": code
        });
        let call = client().post(format!("{origin}/xrpc/com.atproto.server.createAccount")).json(&body);
        assert_eq!(call.send().await.unwrap().status(), 200);
        allod.run(&["account", "disable-invites", &format!("user{n}.test")]).ok();
    }
    for (command, list, rows) in [
        (&["invite", "list"][..], "invites", 5),
        (&["invite", "show", &code], "used", 3),
        (&["audit"], "entries", 3),
        (&["account", "list"], "accounts", 3),
        (&["account", "search", "u"], "accounts", 3),
    ] {
        let whole = allod.run(&[command, &["--json"]].concat()).json();
        assert_eq!((whole[list].as_array().unwrap().len(), whole.get("cursor")), (rows, None), "{command:?}");
        let first = allod.run(&[command, &["--limit", "2"]].concat());
        assert!(first.stderr.contains("more: --cursor "), "{command:?}: {}", first.stderr);
        let (mut found, mut cursor) = (Vec::new(), None::<String>);
        loop {
            let mut arguments = [command, &["--json", "--limit", "2"]].concat();
            if let Some(cursor) = &cursor {
                arguments.extend(["--cursor", cursor]);
            }
            let page = allod.run(&arguments).json();
            found.extend(page[list].as_array().unwrap().clone());
            cursor = page["cursor"].as_str().map(str::to_owned);
            if cursor.is_none() {
                break;
            }
        }
        assert_eq!(&json!(found), &whole[list], "{command:?}");
        if command[0] != "account" {
            assert_eq!(allod.run(&[command, &["--cursor", "nonsense"]].concat()).code, 1, "{command:?}");
        }
    }
    assert_eq!(server.interrupt(), 0);
}

#[tokio::test]
async fn an_operator_moderates_from_the_command_line_with_a_server_and_without() {
    let allod = Allod::new();
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    let origin = server.wait_for("  Server ").trim().to_owned();
    server.wait_for("Stop with Ctrl-C.");
    let alice = create_account(&origin, "alice.test").await;
    let did = alice["did"].as_str().unwrap();
    let status = |allod: &Allod| allod.run(&["account", "show", "alice.test", "--json"]).json()["status"].clone();

    let taken = allod.run(&["takedown", "account", "alice.test", "--ref", "report 1", "--json"]).json();
    assert_eq!(taken, json!({ "subject": did }));
    assert_eq!(status(&allod), "takendown");
    let undone = allod.run(&["takedown", "account", did, "--undo"]).ok();
    assert_eq!(undone, format!("{did}: takedown undone\n"));
    assert_eq!(status(&allod), "active");

    let uri = format!("at://{did}/com.example.note/one");
    let missing = allod.run(&["takedown", "record", &uri]);
    assert_eq!(missing.code, 1);
    assert!(missing.stderr.ends_with("error: Subject not found\n"), "{}", missing.stderr);
    assert_eq!(allod.run(&["takedown", "record", "nonsense"]).code, 1);
    assert_eq!(allod.run(&["takedown", "blob", "alice.test", "nonsense"]).code, 1);
    assert_eq!(allod.run(&["takedown", "account", "alice.test", "--undo", "--ref", "x"]).code, 2);

    let changed = allod.run(&["account", "set-password", "alice.test", "--json"]).json();
    let sign_in = async |password: &Value| {
        let body = json!({ "identifier": "alice.test", "password": password });
        let call = client().post(format!("{origin}/xrpc/com.atproto.server.createSession")).json(&body);
        call.send().await.unwrap().status().as_u16()
    };
    assert_eq!(sign_in(&changed["password"]).await, 200);
    let typed = allod.run_with_input(&["account", "set-password", did, "--password-stdin"], "another-one\n");
    assert_eq!(typed.code, 0, "{}", typed.stderr);
    assert_eq!((sign_in(&changed["password"]).await, sign_in(&json!("another-one")).await), (401, 200));
    allod.run(&["account", "set-email", "alice.test", "new@mail.test"]).ok();
    let found = allod.run(&["account", "search", "new@", "--json"]).json();
    assert_eq!(found["accounts"][0]["did"], did);

    allod.run(&["account", "disable-invites", "alice.test", "--note", "sold codes"]).ok();
    allod.run(&["account", "enable-invites", "alice.test"]).ok();
    let code = allod.run(&["invite", "create"]).ok().trim().to_owned();
    allod.run(&["invite", "disable", &code]).ok();
    let shown = allod.run(&["invite", "show", &code, "--json"]).json();
    assert_eq!((&shown["code"], &shown["disabled"], &shown["used"]), (&json!(code), &json!(true), &json!([])));
    assert!(allod.run(&["invite", "show", &code]).ok().contains("1 of 1 left"));
    assert!(allod.run(&["invite", "show", "no-such"]).stderr.ends_with("error: there is no invite code no-such\n"));

    let token = allod.run(&["admin-token", "create", "ops", "--expires-days", "3"]).ok().trim().to_owned();
    let info = async |token: &str| {
        let url = format!("{origin}/xrpc/com.atproto.admin.getAccountInfo?did={did}");
        client().get(url).bearer_auth(token).send().await.unwrap().status().as_u16()
    };
    assert_eq!(info(&token).await, 200);
    let rename = async |handle: &str| {
        let call = client().post(format!("{origin}/xrpc/com.atproto.admin.updateAccountHandle"));
        let call = call.bearer_auth(&token).json(&json!({ "did": did, "handle": handle }));
        call.send().await.unwrap().status().as_u16()
    };
    assert_eq!(rename("liz.test").await, 200);
    let held = allod.run(&["handle", "list", "--json"]).json();
    assert_eq!((&held["handles"][0]["handle"], &held["handles"][0]["did"]), (&json!("alice.test"), &json!(did)));
    assert!(allod.run(&["handle", "list"]).ok().contains(did));
    assert_eq!(allod.run(&["handle", "release", "alice.test"]).ok(), "alice.test: released\n");
    let again = allod.run(&["handle", "release", "alice.test"]);
    assert!(again.code == 1 && again.stderr.contains("alice.test is not held"), "{}", again.stderr);
    assert_eq!(rename("alice.test").await, 200);
    let tokens = allod.run(&["admin-token", "list", "--json"]).json();
    assert_eq!((&tokens["tokens"][0]["name"], &tokens["tokens"][0]["scope"]), (&json!("ops"), &json!("admin")));
    assert_eq!(allod.run(&["admin-token", "revoke", "ops"]).ok(), "ops: revoked\n");
    assert_eq!(info(&token).await, 401);

    assert_eq!(server.interrupt(), 0);
    allod.run(&["takedown", "account", "alice.test"]).ok();
    assert_eq!(status(&allod), "takendown");
    let log = allod.run(&["audit", "--json", "--limit", "3"]).json();
    let newest: Vec<&Value> = log["entries"].as_array().unwrap().iter().map(|line| &line["method"]).collect();
    assert_eq!(newest, ["takedown", "com.atproto.admin.getAccountInfo", "admin-token revoke"]);
    let text = allod.run(&["audit"]).ok();
    assert!(text.contains("refused: Subject not found") && text.contains("command-line"), "{text}");
}
