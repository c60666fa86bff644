//! Secrets that go through a server, and must be found nowhere it writes to: not in its log at the most verbose level, not
//! in its data.

use std::{fs, path::Path, time::Duration};

use allod_atproto::json::{Limits, parse};
use serde_json::{Value, json};

use crate::process::{Allod, client};

/// How long a letter may take to be there.
const LETTER_TRIES: usize = 600;

async fn post(origin: &str, method: &str, token: Option<&str>, body: &Value) -> Value {
    let mut request = client().post(format!("{origin}/xrpc/com.atproto.{method}"));
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    if !body.is_null() {
        request = request.json(body);
    }
    let reply = request.send().await.unwrap();
    let (status, text) = (reply.status(), reply.text().await.unwrap());
    assert_eq!(status, 200, "{method}: {text}");
    parse(text.as_bytes(), &Limits::OWN).unwrap_or_default()
}

/// Waits for a letter with this subject, and gives the code in it.
async fn code(origin: &str, subject: &str) -> String {
    for _ in 0..LETTER_TRIES {
        let mail = client().get(format!("{origin}/dev/mail?format=json")).send().await.unwrap();
        let mail: Value = mail.json().await.unwrap();
        let messages = mail.get("messages").unwrap().as_array().unwrap();
        let letter = messages.iter().find(|letter| letter["subject"] == subject);
        if let Some(letter) = letter {
            let text = letter["text"].as_str().unwrap();
            return text.lines().find_map(|line| line.strip_prefix("    ")).unwrap().to_owned();
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("no letter {subject:?} came");
}

/// Everything below a directory, but for the secrets that are kept there on purpose.
fn files(directory: &Path, found: &mut Vec<(String, Vec<u8>)>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found);
        } else if path.is_file() && path.extension().is_none_or(|extension| extension != "toml") {
            found.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
}

#[tokio::test]
async fn no_secret_is_written_down() {
    let allod = Allod::new();
    let arguments = ["dev", "--port", "0", "--plc-port", "0"];
    let mut server = allod.start(&arguments, &[("ALLOD_LOG", "trace"), ("ALLOD_LOG_FORMAT", "json")]);
    let origin = server.wait_for("  Server ");
    server.wait_for("Stop with Ctrl-C.");

    let (first, second, wrong) = ("canary-first-password", "canary-second-password", "canary-wrong-password");
    let mut canaries: Vec<String> = [first, second, wrong].map(str::to_owned).to_vec();
    let body = json!({ "handle": "alice.test", "email": "alice@mail.test", "password": first });
    let session = post(&origin, "server.createAccount", None, &body).await;
    let remember = |canaries: &mut Vec<String>, session: &Value| {
        for name in ["accessJwt", "refreshJwt"] {
            // What follows the last dot is what makes a token one.
            canaries.push(session[name].as_str().unwrap().rsplit_once('.').unwrap().1.to_owned());
        }
        session["accessJwt"].as_str().unwrap().to_owned()
    };
    let access = remember(&mut canaries, &session);
    let refreshed = post(&origin, "server.refreshSession", session["refreshJwt"].as_str(), &Value::Null).await;
    remember(&mut canaries, &refreshed);
    let app = post(&origin, "server.createAppPassword", Some(&access), &json!({ "name": "phone" })).await;
    canaries.push(app["password"].as_str().unwrap().to_owned());
    let body = json!({ "identifier": "alice.test", "password": app["password"] });
    remember(&mut canaries, &post(&origin, "server.createSession", None, &body).await);
    let refused = client().post(format!("{origin}/xrpc/com.atproto.server.createSession"));
    let refused = refused.json(&json!({ "identifier": "alice.test", "password": wrong })).send().await.unwrap();
    assert_eq!(refused.status(), 401);
    let service = client().get(format!("{origin}/xrpc/com.atproto.server.getServiceAuth?aud=did:web:example.com"));
    let service: Value = service.bearer_auth(&access).send().await.unwrap().json().await.unwrap();
    canaries.push(service["token"].as_str().unwrap().rsplit_once('.').unwrap().1.to_owned());

    post(&origin, "server.requestEmailConfirmation", Some(&access), &Value::Null).await;
    canaries.push(code(&origin, "Email Confirmation").await);
    let confirm = json!({ "email": "alice@mail.test", "token": canaries.last().unwrap() });
    post(&origin, "server.confirmEmail", Some(&access), &confirm).await;
    post(&origin, "server.requestPasswordReset", None, &json!({ "email": "alice@mail.test" })).await;
    canaries.push(code(&origin, "Password Reset Requested").await);
    let reset = json!({ "token": canaries.last().unwrap(), "password": second });
    post(&origin, "server.resetPassword", None, &reset).await;
    let body = json!({ "identifier": "alice.test", "password": second });
    let session = post(&origin, "server.createSession", None, &body).await;
    let access = remember(&mut canaries, &session);
    post(&origin, "server.requestAccountDelete", Some(&access), &Value::Null).await;
    canaries.push(code(&origin, "Account Deletion Requested").await);
    let body = json!({ "handle": "bob.test", "email": "bob@mail.test", "password": "canary-third-password" });
    remember(&mut canaries, &post(&origin, "server.createAccount", None, &body).await);
    canaries.push("canary-third-password".to_owned());

    // What keeps everything else secret is in one file, and nowhere else.
    let data = allod.path("allod-dev");
    let mut kept = 0;
    for entry in fs::read_dir(&data).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "toml") {
            let text = fs::read_to_string(path).unwrap();
            for secret in text.split('"').skip(1).step_by(2).filter(|secret| secret.len() >= 32) {
                canaries.push(secret.to_owned());
                kept += 1;
            }
        }
    }
    assert!(kept >= 3, "the secrets of a development network are looked for: {kept}");

    let mut found = Vec::new();
    files(&data, &mut found);
    assert_eq!(server.interrupt(), 0);
    files(&data, &mut found);
    // What comes before is the banner, which tells the developer the administration password.
    let log = server.output().split_once("Stop with Ctrl-C.").unwrap().1.to_owned();
    assert!(log.contains("TRACE") && log.lines().count() > 20, "the log is as verbose as it gets: {log}");
    found.push(("the log".to_owned(), log.into_bytes()));
    assert!(found.iter().any(|(name, _)| name.ends_with("allod.sqlite")), "the store is looked at");
    let is_anywhere =
        |text: &str| found.iter().any(|(_, bytes)| bytes.windows(text.len()).any(|window| window == text.as_bytes()));
    assert!(is_anywhere("alice@mail.test"), "what is no secret is found");
    for (name, bytes) in &found {
        for canary in &canaries {
            let is_there = bytes.windows(canary.len()).any(|window| window == canary.as_bytes());
            assert!(!is_there, "{canary:?} is in {name}");
        }
    }
}
