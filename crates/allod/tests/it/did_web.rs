//! `allod account did-web`: where the document of a did:web that was made here points, from the command line.

use serde_json::{Value, json};

use crate::process::{Allod, client, create_account};

const KEY: &str = "did:key:zQ3shZc2QzApp2oymGvQbzP8eKheVshBHbU4ZYjeXqwSKEn6N";

#[tokio::test]
async fn an_operator_moves_an_identity_out_with_a_server_and_without() {
    let allod = Allod::new();
    let mut server = allod.start(&["dev", "--port", "0", "--plc-port", "0"], &[]);
    let origin = server.wait_for("  Server ").trim().to_owned();
    server.wait_for("Stop with Ctrl-C.");
    create_account(&origin, "bob.test").await;
    let body = json!({ "handle": "alice.test", "email": "a@mail.test", "password": "correct-horse",
        "did": "did:web:alice.test" });
    let url = format!("{origin}/xrpc/com.atproto.server.createAccount");
    let created = client().post(url).json(&body).send().await.unwrap();
    assert_eq!(created.status(), 200, "a development network makes did:webs");
    let created: Value = created.json().await.unwrap();
    let published = async || {
        let call = client().get(format!("{origin}/.well-known/did.json")).header("host", "alice.test");
        call.send().await.unwrap().json::<Value>().await.unwrap()
    };

    let shown = allod.run(&["account", "did-web", "alice.test", "--json"]).json();
    let ours = json!({ "did": "did:web:alice.test", "account": true, "published": "here",
        "document": created["didDoc"] });
    assert_eq!(shown, ours);
    let text = allod.run(&["account", "did-web", "did:web:alice.test"]).ok();
    assert!(text.starts_with("did        did:web:alice.test\naccount    exists\npublished  here\n{\n"), "{text}");

    let moved = ["account", "did-web", "alice.test", "--pds", "https://new.example.com", "--signing-key", KEY];
    let shown = allod.run(&[&moved[..], &["--handle", "alice.example.com", "--json"]].concat()).json();
    assert_eq!((&shown["published"], &shown["account"]), (&json!("elsewhere"), &json!(true)));
    assert_eq!(published().await, shown["document"]);
    assert_eq!(shown["document"]["service"][0]["serviceEndpoint"], "https://new.example.com");
    assert_eq!(shown["document"]["alsoKnownAs"], json!(["at://alice.example.com"]));

    for (arguments, code, complaint) in [
        (&["bob.test"][..], 1, "error: bob.test has no did:web that was made here\n"),
        (&["alice.test", "--pds", "https://a.example.com/b", "--signing-key", KEY], 1, "https://pds.example.com\n"),
        (&["alice.test", "--pds", "https://a.example.com"], 2, "For more information, try '--help'.\n"),
        (&["alice.test", "--signing-key", KEY], 2, "For more information, try '--help'.\n"),
        (&["alice.test", "--handle", "a.test"], 2, "For more information, try '--help'.\n"),
        (&[&moved[2..], &["--reset"]].concat(), 2, "For more information, try '--help'.\n"),
    ] {
        let outcome = allod.run(&[&["account", "did-web"], arguments].concat());
        assert_eq!(outcome.code, code, "{arguments:?}");
        assert!(outcome.stderr.ends_with(complaint), "{}", outcome.stderr);
    }

    let rotated = allod.run(&["account", "rotate-key", "alice.test"]);
    assert_eq!(rotated.code, 1, "the document is not ours to change");
    allod.run(&["account", "did-web", "alice.test", "--reset"]).ok();
    assert_eq!(published().await, created["didDoc"]);
    let rotated = allod.run(&["account", "rotate-key", "alice.test", "--json"]).json();
    let key = published().await["verificationMethod"][0]["publicKeyMultibase"].clone();
    assert_eq!(rotated["signing_key"], format!("did:key:{}", key.as_str().unwrap()));

    assert_eq!(server.interrupt(), 0);
    let shown = allod.run(&[&moved[..], &["--json"]].concat()).json();
    assert_eq!(shown["document"]["alsoKnownAs"], json!(["at://alice.test"]), "as it is, when none is given");
    let log = allod.run(&["audit", "--json", "--limit", "10"]).json();
    let entries = log["entries"].as_array().unwrap().iter();
    let (entries, rotations): (Vec<_>, Vec<_>) = entries.partition(|entry| entry["method"] == "account did-web");
    assert_eq!(rotations.len(), 2, "{log}");
    let outcomes: Vec<_> = entries.iter().map(|entry| entry["outcome"].as_str().unwrap()).collect();
    let endpoint = "refused: the address of a server is its scheme, host and port alone, as https://pds.example.com";
    assert_eq!(outcomes, ["done", "done", endpoint, "done"], "looking is not noted");
}
