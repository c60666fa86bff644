//! Who may call what: every method of the lexicons, with every kind of credential, of accounts in every state.
//!
//! What comes out is kept beside this file and reviewed as code is: a method without a row, or one that opens itself to
//! somebody new, fails here. A cell tells how far a call with a body that no method takes gets: to the body (`+`), or to
//! which refusal of the caller.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use allod_atproto::{
    Did, Nsid,
    service_auth::{Audience, ServiceToken, encode},
};
use allod_base::clock::Clock;
use allod_lexicon::{Kind, MethodInfo};
use allod_server::{
    control::{Administration, Command, Silent, execute},
    domain::{keys::Purpose, sign_up::queue::QueueConfig},
    xrpc,
};
use allod_store::tables::signing_keys;
use allod_testkit::{Call, Reply, TestPds, read_json};
use serde_json::{Value, json};

use crate::seen;

/// The states of the account that a credential is for, in the order of a cell's letters.
const STATES: [&str; 5] = ["active", "deactivated", "taken down", "deleted", "waiting"];

/// What a method is called with, and the credentials that don't depend on an account.
const NOBODYS: [&str; 4] = ["none", "garbage", "admin", "wrong admin"];

/// Credentials of an account.
const ACCOUNTS: [&str; 7] = ["full", "app", "app+", "refresh", "takedown", "queued", "service"];

const HEAD: &str = "\
Credentials: none; garbage; admin: the operator's password; wrong admin; full: the account's own password; app, app+: an
app password, a privileged one; refresh: a refresh token; takedown: the token of a taken-down account's sign-in; queued:
the token of one that waits in the sign-up queue; service: a service token of the account's for the method. An account's
credentials have a letter for each of its states: active, deactivated, taken down, deleted, waiting.

+ reaches the method    m AuthMissing    a AuthenticationRequired    i InvalidToken    s Bad token scope
e ExpiredToken    t AccountTakedown    g account gone    j a service token's own refusals    f Forbidden

";

/// The credentials of one account.
struct Account {
    did: Did,
    tokens: BTreeMap<&'static str, String>,
}

async fn account(pds: &TestPds, name: &'static str) -> Account {
    let actor = pds.account(name).await;
    let admit = Administration::QueueAdmit { account: actor.did.to_string() };
    execute(pds.app(), Command::Administer { action: admit }, &mut Silent).await.unwrap();
    let actor = pds.sign_in(name).await;
    let mut tokens = BTreeMap::from([("full", actor.access.clone()), ("refresh", actor.refresh.clone())]);
    for (credential, privileged) in [("app", false), ("app+", true)] {
        let password = pds.app_password(&actor, credential, privileged).await;
        tokens.insert(credential, pds.sign_in_with(name, &password).await.access);
    }
    Account { did: actor.did, tokens }
}

/// Signs a service token for a method, with the key that the account has or had.
fn service_token(
    pds: &TestPds,
    did: &Did,
    key: &allod_atproto::crypto::SigningKey,
    method: &str,
    number: usize,
) -> String {
    let now = pds.clock().now_micros() / 1_000_000;
    let claims = ServiceToken {
        iss: did.clone(),
        aud: Audience::from(pds.did().clone()),
        exp: now + 60,
        iat: Some(now),
        lxm: Some(Nsid::parse(method).unwrap()),
        jti: Some(number.to_string()),
        kid: None,
    };
    encode(&claims, key)
}

/// The lexicon of a method.
fn lexicon(nsid: &str) -> Value {
    let lexicons = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lexicons");
    let path = format!("{}.json", nsid.replace('.', "/"));
    let file = [lexicons.join(&path), lexicons.join("legacy").join(&path)].into_iter().find(|file| file.is_file());
    read_json(std::fs::read(file.unwrap()).unwrap())
}

/// An example of a query parameter.
fn example(property: &Value) -> String {
    let text = match (property["type"].as_str().unwrap(), property["format"].as_str()) {
        ("integer", _) => "1",
        ("boolean", _) => "true",
        ("array", _) => return example(&property["items"]),
        (_, Some("did")) => "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
        (_, Some("handle" | "at-identifier")) => "nobody.test",
        (_, Some("nsid")) => "com.example.note",
        (_, Some("cid")) => "bafyreib2rxk3rybk3aobmv5cjuql3bm2twh4jo5uxgf5kpqcsgz7soitae",
        (_, Some("record-key")) => "self",
        (_, Some("tid")) => "3jzfcijpj2z2a",
        (_, Some("at-uri")) => "at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa",
        (_, Some("datetime")) => "2026-01-01T00:00:00Z",
        _ => "did:web:example.com",
    };
    text.to_owned()
}

/// Calls a method so that nothing stands between the check of the caller and that of the body.
fn call(pds: &TestPds, method: &MethodInfo) -> Call {
    match method.kind {
        Kind::Procedure => pds.xrpc_post(method.nsid).body("text/x-nothing", "x"),
        Kind::Query | Kind::Subscription => {
            let parameters = lexicon(method.nsid)["defs"]["main"]["parameters"].clone();
            let required = parameters["required"].as_array().cloned().unwrap_or_default();
            required.iter().filter_map(Value::as_str).fold(pds.xrpc_get(method.nsid), |call, name| {
                call.param(name, example(&parameters["properties"][name]))
            })
        }
    }
}

fn letter(reply: &Reply) -> char {
    if reply.status.is_success() {
        return '+';
    }
    let body = reply.json();
    assert!(reply.status.as_u16() < 500, "a fault: {body}");
    let message = body["message"].as_str().unwrap();
    match body["error"].as_str().unwrap() {
        "AuthMissing" => 'm',
        "AuthenticationRequired" => 'a',
        "InvalidToken" if message == "Bad token scope" => 's',
        "InvalidToken" => 'i',
        "ExpiredToken" => 'e',
        "AccountTakedown" => 't',
        "Forbidden" => 'f',
        name if name.starts_with("BadJwt") || name == "JwtExpired" => 'j',
        _ if message.starts_with("Could not find user info") => 'g',
        _ => '+',
    }
}

#[tokio::test]
async fn every_method_is_open_to_whom_the_table_says() {
    let queue = Some(QueueConfig { per_hour: 0 });
    let pds = TestPds::options().config(move |config| config.sign_up.queue = queue).start().await;
    let mut accounts = Vec::new();
    for name in ["alice", "dora", "theo", "gone"] {
        accounts.push(account(&pds, name).await);
    }
    let waiting = pds.account("quinn").await;
    let tokens = BTreeMap::from([("queued", waiting.access), ("refresh", waiting.refresh)]);
    accounts.push(Account { did: waiting.did, tokens });
    let mut keys = Vec::new();
    for account in &accounts {
        let wrapped = signing_keys::by_did(&*pds.app().db, &account.did).await.unwrap().unwrap();
        keys.push(pds.app().keyring.unwrap(&wrapped.wrapped, Purpose::Signing(&account.did)).unwrap());
    }
    seen::deactivate(&pds, &accounts[1].did).await;
    seen::take_down(&pds, &accounts[2].did).await;
    let body = json!({ "identifier": "theo.test", "password": "password-of-theo", "allowTakendown": true });
    let session = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
    accounts[2].tokens.insert("takedown", session["accessJwt"].as_str().unwrap().to_owned());
    let delete = pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&json!({ "did": accounts[3].did }));
    assert_eq!(delete.send().await.status, 200);

    let routes = xrpc::routes();
    let served: Vec<&str> = routes.nsids().collect();
    let (mut table, mut number) = (HEAD.to_owned(), 0);
    for method in MethodInfo::all() {
        if !served.contains(&method.nsid) {
            writeln!(table, "{:<58} not served", method.nsid).unwrap();
            continue;
        }
        if method.kind == Kind::Subscription {
            writeln!(table, "{:<58} a stream for anybody", method.nsid).unwrap();
            continue;
        }
        write!(table, "{:<58}", method.nsid).unwrap();
        for credential in NOBODYS {
            let call = call(&pds, method);
            let reply = match credential {
                "none" => call.send().await,
                "garbage" => call.bearer("garbage").send().await,
                "admin" => call.admin().send().await,
                // From an address of its own each time: guessing has its limits.
                _ => {
                    number += 1;
                    let call = call.header("x-forwarded-for", &format!("203.0.{}.{}", number / 250, number % 250));
                    call.header("authorization", "Basic YWRtaW46d3Jvbmc=").send().await
                }
            };
            write!(table, " {credential}:{}", letter(&reply)).unwrap();
        }
        for credential in ACCOUNTS {
            write!(table, " {credential}:").unwrap();
            for (account, key) in accounts.iter().zip(&keys) {
                number += 1;
                let token = match credential {
                    "service" => Some(service_token(&pds, &account.did, key, method.nsid, number)),
                    _ => account.tokens.get(credential).cloned(),
                };
                match token {
                    Some(token) => table.push(letter(&call(&pds, method).bearer(&token).send().await)),
                    None => table.push('.'),
                }
            }
        }
        table.push('\n');
    }
    assert_eq!(STATES.len(), accounts.len());
    insta::assert_snapshot!("authorisation", table);
}
