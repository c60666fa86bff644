//! The lines that requests leave in the log, and what becomes of them when nobody reads the log.

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader, Read},
    process::Stdio,
};

use allod_testkit::read_json;
use serde::{
    Deserialize,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, json};

use crate::process::{Allod, Server, client, create_account, serve_environment};

const DEV: [&str; 6] = ["dev", "--ephemeral", "--port", "0", "--plc-port", "0"];

/// A directory that nobody answers for.
const NO_DIRECTORY: &str = "http://127.0.0.1:1";

fn start_dev(allod: &Allod) -> (Server, String) {
    let mut server = allod.start(&DEV, &[]);
    let origin = server.wait_for("  Server ");
    server.wait_for("Stop with Ctrl-C.");
    (server, origin)
}

/// A server with text lines, and its directory.
fn start_serve(allod: &Allod, setting: (&str, &str)) -> (Server, Server, String) {
    let mut plc = allod.start(&["plc", "--port", "0"], &[]);
    let plc_url = plc.wait_for("did:plc directory on ");
    let mut environment = serve_environment(plc_url.split(',').next().unwrap(), "pds");
    environment.extend([("ALLOD_LOG_FORMAT", "text"), setting]);
    let mut server = allod.start(&["serve"], &environment);
    let address = server.wait_for("serving version=");
    let address = address.split_once("address=").unwrap().1.split(' ').next().unwrap().to_owned();
    (server, plc, format!("http://{address}"))
}

async fn sign_in(origin: &str, password: &str, address: &str) -> u16 {
    let body = json!({ "identifier": "alice.test", "password": password });
    let call = client().post(format!("{origin}/xrpc/com.atproto.server.createSession")).json(&body);
    call.header("x-forwarded-for", address).send().await.unwrap().status().as_u16()
}

/// What a line says by name.
fn fields(line: &str) -> BTreeMap<&str, &str> {
    line.split(' ').filter_map(|word| word.split_once('=')).collect()
}

#[tokio::test]
async fn each_request_leaves_one_line() {
    let allod = Allod::new();
    let (mut server, origin) = start_dev(&allod);
    let alice = create_account(&origin, "alice.test").await;
    let (did, token) = (alice["did"].as_str().unwrap(), alice["accessJwt"].as_str().unwrap());
    let get = |path: &str| client().get(format!("{origin}{path}")).header("x-forwarded-for", "203.0.113.9:80");
    get("/xrpc/com.atproto.server.getSession").bearer_auth(token).send().await.unwrap();
    let export = get(&format!("/xrpc/com.atproto.sync.getRepo?did={did}")).send().await.unwrap().bytes().await.unwrap();
    get("/nothing/%1B?token=s3cret-value").send().await.unwrap();
    server.interrupt();
    let output = server.output();
    let lines: Vec<&str> = output.lines().filter(|line| line.contains(" access: ")).collect();
    let found = |path: &str| {
        let found: Vec<&&str> = lines.iter().filter(|line| fields(line).get("path") == Some(&path)).collect();
        assert_eq!(found.len(), 1, "{path}:\n{output}");
        fields(found[0])
    };
    let session = found("/xrpc/com.atproto.server.getSession");
    assert_eq!((session["method"], session["status"], session["client"]), ("GET", "200", "203.0.113.9"));
    assert_eq!(session["did"], did);
    assert!(session["ms"].parse::<u64>().is_ok() && session["bytes"].parse::<u64>().unwrap() > 100, "{session:?}");
    let repo = found("/xrpc/com.atproto.sync.getRepo");
    assert_eq!((repo["bytes"], repo.get("did"), repo.get("broken_off")), (&*export.len().to_string(), None, None));
    let nothing = found("/nothing/%1B");
    assert_eq!((nothing["status"], nothing.get("did")), ("404", None));
    let sign_up = found("/xrpc/com.atproto.server.createAccount");
    assert_eq!((sign_up["method"], sign_up["did"]), ("POST", did));
    assert!(!output.contains("open to other users"), "{output}");
    assert!(!output.contains("s3cret-value"), "{output}");
}

/// More than the kernel takes of an answer that nobody reads.
const LARGE_BLOB_BYTES: usize = 24 * 1024 * 1024;

/// Uploads a large blob and refers to it; gives the path and query that it is had by.
async fn large_blob(origin: &str, did: &str, token: &str) -> String {
    let post = |nsid: &str| client().post(format!("{origin}/xrpc/{nsid}")).bearer_auth(token);
    let upload = post("com.atproto.repo.uploadBlob").header("content-type", "application/octet-stream");
    let upload = upload.body(vec![0x5a; LARGE_BLOB_BYTES]).send().await.unwrap();
    let blob: Value = read_json(upload.error_for_status().unwrap().bytes().await.unwrap());
    let record = json!({ "$type": "com.example.note", "file": blob.get("blob").unwrap() });
    let body = json!({ "repo": did, "collection": "com.example.note", "record": record });
    post("com.atproto.repo.createRecord").json(&body).send().await.unwrap().error_for_status().unwrap();
    let cid = blob.pointer("/blob/ref/$link").and_then(Value::as_str).unwrap();
    format!("/xrpc/com.atproto.sync.getBlob?did={did}&cid={cid}")
}

#[tokio::test]
async fn a_large_answer_is_broken_off_only_if_its_reader_leaves() {
    let allod = Allod::new();
    let (mut server, origin) = start_dev(&allod);
    let alice = create_account(&origin, "alice.test").await;
    let path = large_blob(&origin, alice["did"].as_str().unwrap(), alice["accessJwt"].as_str().unwrap()).await;
    // The line is found by the client's address.
    let get = |address: &str| client().get(format!("{origin}{path}")).header("x-forwarded-for", address).send();
    let whole = get("203.0.113.1").await.unwrap();
    assert_eq!(whole.bytes().await.unwrap().len(), LARGE_BLOB_BYTES);
    let mut left = get("203.0.113.2").await.unwrap();
    assert!(left.chunk().await.unwrap().is_some());
    drop(left);
    server.wait_for("client=203.0.113.2 ");
    server.interrupt();
    let output = server.output();
    let line = |address: &str| {
        let found = output.lines().find(|line| fields(line).get("client") == Some(&address));
        fields(found.unwrap_or_else(|| panic!("no line of {address}:\n{output}")))
    };
    let whole = line("203.0.113.1");
    assert_eq!((whole["status"], whole["bytes"]), ("200", &*LARGE_BLOB_BYTES.to_string()));
    assert_eq!(whole.get("broken_off"), None);
    let left = line("203.0.113.2");
    assert_eq!((left["status"], left["broken_off"]), ("200", "true"));
    assert!(left["bytes"].parse::<usize>().unwrap() < LARGE_BLOB_BYTES, "{left:?}");
}

#[tokio::test]
async fn the_access_log_can_be_switched_off() {
    let allod = Allod::new();
    let (mut server, _plc, origin) = start_serve(&allod, ("ALLOD_ACCESS_LOG", "false"));
    create_account(&origin, "alice.test").await;
    assert_eq!(sign_in(&origin, "wrong-password", "203.0.113.9").await, 401);
    server.interrupt();
    let output = server.output();
    assert!(!output.contains(" access: "), "{output}");
    assert!(output.contains("security: sign-in failed client=203.0.113.9 "), "{output}");
}

#[tokio::test]
async fn failed_sign_ins_and_limits_have_lines_of_a_fixed_form() {
    let allod = Allod::new();
    let (mut server, _plc, origin) = start_serve(&allod, ("ALLOD_RATE_LIMITS_ENABLED", "true"));
    create_account(&origin, "alice.test").await;
    assert_eq!(sign_in(&origin, "correct-horse", "198.51.100.1").await, 200);
    for _ in 0..30 {
        assert_eq!(sign_in(&origin, "wrong-password", "203.0.113.9").await, 401);
    }
    for _ in 0..3 {
        assert_eq!(sign_in(&origin, "wrong-password", "203.0.113.9").await, 429);
    }
    let guess =
        client().get(format!("{origin}/xrpc/com.atproto.admin.getInviteCodes")).basic_auth("admin", Some("guess"));
    let guessed = guess.header("x-forwarded-for", "203.0.113.10").send().await.unwrap();
    assert_eq!(guessed.status().as_u16(), 401);
    server.interrupt();
    let output = server.output();
    let fixed = |line: &&str, text: &str| {
        line.split_once("  WARN security: ").is_some_and(|(time, rest)| !time.contains(' ') && rest.starts_with(text))
    };
    let method = "method=com.atproto.server.createSession id=";
    let failed = format!("sign-in failed client=203.0.113.9 {method}");
    assert_eq!(output.lines().filter(|line| fixed(line, &failed)).count(), 30, "{output}");
    let limit = format!("limit reached client=203.0.113.9 {method}");
    assert_eq!(output.lines().filter(|line| fixed(line, &limit)).count(), 1, "{output}");
    let guess = "wrong administration credential client=203.0.113.10 method=com.atproto.admin.getInviteCodes";
    assert_eq!(output.lines().filter(|line| fixed(line, guess)).count(), 1, "{output}");
    assert!(!output.contains("guess\"") && !output.contains("=guess"), "{output}");
    assert!(!output.contains("client=198.51.100.1 method=com") && !output.contains("wrong-password"), "{output}");
}

/// A JSON object's keys, as often as they stand there.
struct Keys(Vec<String>);

impl<'de> Deserialize<'de> for Keys {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct KeysVisitor;

        impl<'de> Visitor<'de> for KeysVisitor {
            type Value = Keys;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Keys, A::Error> {
                let mut keys = Vec::new();
                while let Some((key, _)) = map.next_entry::<String, Value>()? {
                    keys.push(key);
                }
                Ok(Keys(keys))
            }
        }

        deserializer.deserialize_map(KeysVisitor)
    }
}

#[tokio::test]
async fn no_key_stands_twice_in_a_line_of_json() {
    let allod = Allod::new();
    let mut server = allod.start(&["serve"], &serve_environment(NO_DIRECTORY, "pds"));
    let address = server.wait_for("\"address\":\"");
    let origin = format!("http://{}", address.split('"').next().unwrap());
    let body = json!({ "handle": "alice.test", "email": "alice@mail.test", "password": "correct-horse" });
    let reply =
        client().post(format!("{origin}/xrpc/com.atproto.server.createAccount")).json(&body).send().await.unwrap();
    assert!(reply.status().is_server_error(), "the directory is not there: {}", reply.status());
    server.interrupt();
    let output = server.output();
    let lines: Vec<&str> = output.lines().filter(|line| line.starts_with('{')).collect();
    assert!(lines.iter().any(|line| line.contains("request refused")), "{output}");
    for line in lines {
        let Keys(mut keys) = serde_json::from_str(line).unwrap();
        let count = keys.len();
        keys.sort_unstable();
        keys.dedup();
        assert_eq!(keys.len(), count, "{line}");
    }
}

#[tokio::test]
async fn a_log_that_nobody_reads_stops_nothing() {
    /// Two lines each come to more than a pipe holds.
    const REQUESTS: usize = 1_000;

    let allod = Allod::new();
    let mut child =
        allod.command(&DEV, &[]).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut origin = String::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines().map_while(Result::ok) {
        if let Some(found) = line.trim().strip_prefix("Server ") {
            found.trim().clone_into(&mut origin);
        }
        if line.contains("Stop with Ctrl-C.") {
            break;
        }
    }
    let client = client();
    for _ in 0..REQUESTS {
        let call = client.get(format!("{origin}/xrpc/com.atproto.server.describeServer"));
        let reply = call.timeout(std::time::Duration::from_mins(1)).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    child.kill().unwrap();
    let mut log = Vec::new();
    child.stderr.take().unwrap().read_to_end(&mut log).unwrap();
    child.wait().unwrap();
    assert!(String::from_utf8_lossy(&log).contains(" access: "), "nothing was logged");
}
