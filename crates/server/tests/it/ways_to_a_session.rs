//! Every way to a session, of accounts in every state, with and without a second factor, before and after a restart.
//!
//! What comes out is kept beside this file and reviewed as code is. A cell tells what a call got: a session of which
//! kind, or which refusal; and whether the owner was mailed of a sign-in from a new network.

use std::{fmt::Write as _, path::Path, time::Duration};

use allod_lexicon::MethodInfo;
use allod_server::{
    domain::sign_up::{failpoint::Failpoint, queue::QueueConfig},
    xrpc,
};
use allod_store::{
    Txn,
    tables::{accounts, sign_ups},
};
use allod_testkit::{Actor, At, Behaviour, Call, Reply, TestPds, read_json};
use data_encoding::BASE64URL_NOPAD;
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{elsewhere::CREATE_ACCOUNT, seen};

const CREATE_SESSION: &str = "com.atproto.server.createSession";
const REFRESH_SESSION: &str = "com.atproto.server.refreshSession";
const OLD_CREATE: &str = "com.atproto.account.create";

/// The methods that answer with tokens. One that is not here needs a row below.
const METHODS: [&str; 4] = [OLD_CREATE, CREATE_ACCOUNT, CREATE_SESSION, REFRESH_SESSION];

const HEAD: &str = "\
Each cell: second factor off, then on. Before and after a restart of the server; answers are lost by a crash.

F full session    A app password's session    T session of a taken-down account    Q session of a queued account
n the owner was mailed of the sign-in    2 AuthFactorTokenRequired    t AccountTakedown    c wrong credentials
i InvalidToken    e ExpiredToken    h HandleNotAvailable    g account gone    . not possible in this state

";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Active,
    Deactivated,
    TakenDown,
    Queued,
    Deleted,
}

const STATES: [(State, &str); 5] = [
    (State::Active, "active"),
    (State::Deactivated, "deactivated"),
    (State::TakenDown, "taken down"),
    (State::Queued, "queued"),
    (State::Deleted, "deleted"),
];

/// Ways of somebody whose createAccount was answered.
const ANSWERED: [&str; 10] = [
    "createSession: password",
    "createSession: password, code",
    "createSession: password, wrong code",
    "createSession: password, allowTakendown",
    "createSession: wrong password",
    "createSession: app password",
    "refreshSession: of the password",
    "refreshSession: of the app password",
    "createAccount: the same again",
    "account.create: the same again",
];

/// Ways of somebody who never got the answer of createAccount.
const UNANSWERED: [&str; 3] = [
    "createAccount: again, answer lost",
    "createAccount: again, finished by the reconciler",
    "createAccount: again, factor set behind its back",
];

fn sign_up() -> Value {
    json!({ "handle": "alice.test", "email": "alice@mail.test", "password": "password-of-alice" })
}

async fn server(state: State) -> TestPds {
    let queue = (state == State::Queued).then_some(QueueConfig { per_hour: 0 });
    TestPds::options().config(move |config| config.sign_up.queue = queue).start().await
}

/// Brings Alice's account into a state.
async fn arrange(pds: &TestPds, state: State, factor: bool) {
    let db = &*pds.app().db;
    let account = accounts::by_handle(db, &"alice.test".parse().unwrap()).await.unwrap().unwrap();
    if factor {
        let mut txn = Txn::new();
        accounts::confirm_email(&mut txn, &account.did, "alice@mail.test", 1);
        accounts::set_email_auth_factor(&mut txn, &account, true);
        db.commit(txn).await.unwrap();
    }
    match state {
        State::Active | State::Queued => {}
        State::Deactivated => seen::deactivate(pds, &account.did).await,
        State::TakenDown => seen::take_down(pds, &account.did).await,
        State::Deleted => {
            let delete = pds.xrpc_post("com.atproto.admin.deleteAccount").admin();
            delete.json(&json!({ "did": account.did })).send().await;
        }
    }
}

/// What somebody has to sign in with.
struct Credentials {
    alice: Actor,
    app_password: Option<String>,
    app_refresh: Option<String>,
}

async fn credentials(pds: &TestPds, state: State) -> Credentials {
    let alice = pds.account("alice").await;
    if state == State::Queued {
        return Credentials { alice, app_password: None, app_refresh: None };
    }
    let password = pds.app_password(&alice, "phone", false).await;
    let session = pds.sign_in_with("alice", &password).await;
    Credentials { alice, app_password: Some(password), app_refresh: Some(session.refresh) }
}

fn create_session(pds: &TestPds, password: &str, code: Option<&str>) -> Call {
    let mut body = json!({ "identifier": "alice.test", "password": password });
    if let Some(code) = code {
        body["authFactorToken"] = code.into();
    }
    pds.xrpc_post(CREATE_SESSION).json(&body)
}

/// The newest code that was mailed, or one that was not.
async fn code(pds: &TestPds) -> String {
    create_session(pds, "password-of-alice", None).send().await;
    let mail = pds.mail().await;
    let mut lines = mail.iter().rev().flat_map(|letter| letter.text.lines());
    lines.find_map(|line| line.strip_prefix("    ")).unwrap_or("AAAAA-AAAAA").to_owned()
}

/// Calls by one way; none where it is not possible.
async fn go(pds: &TestPds, way: &str, held: &mut Credentials) -> Option<Call> {
    let password = held.alice.password.clone();
    Some(match way {
        "createSession: password" => create_session(pds, &password, None),
        "createSession: password, code" => create_session(pds, &password, Some(&code(pds).await)),
        "createSession: password, wrong code" => create_session(pds, &password, Some("AAAAA-AAAAA")),
        "createSession: password, allowTakendown" => {
            let body = json!({ "identifier": "alice.test", "password": password, "allowTakendown": true });
            pds.xrpc_post(CREATE_SESSION).json(&body)
        }
        "createSession: wrong password" => create_session(pds, "password-of-bob", None),
        "createSession: app password" => create_session(pds, held.app_password.as_ref()?, None),
        "refreshSession: of the password" => pds.xrpc_post(REFRESH_SESSION).bearer(&held.alice.refresh),
        "refreshSession: of the app password" => pds.xrpc_post(REFRESH_SESSION).bearer(held.app_refresh.as_ref()?),
        "account.create: the same again" => pds.xrpc_post(OLD_CREATE).json(&sign_up()),
        _ => pds.xrpc_post(CREATE_ACCOUNT).json(&sign_up()),
    })
}

fn letter(reply: &Reply) -> char {
    let body = reply.json();
    if reply.status.is_success() {
        let token = body["accessJwt"].as_str().unwrap();
        let payload = BASE64URL_NOPAD.decode(token.split('.').nth(1).unwrap().as_bytes()).unwrap();
        let claims: Value = read_json(&payload);
        return match claims["scope"].as_str().unwrap() {
            "com.atproto.access" => 'F',
            "com.atproto.appPass" => 'A',
            "com.atproto.takendown" => 'T',
            "com.atproto.signupQueued" => 'Q',
            other => panic!("a session with the scope {other}"),
        };
    }
    match body["error"].as_str().unwrap() {
        "AuthFactorTokenRequired" => '2',
        "AccountTakedown" => 't',
        "AuthenticationRequired" => 'c',
        "InvalidToken" => 'i',
        "ExpiredToken" => 'e',
        "HandleNotAvailable" => 'h',
        "InvalidRequest" if body["message"].as_str().unwrap().starts_with("Could not find user info") => 'g',
        other => panic!("{other}: {body}"),
    }
}

async fn notices(pds: &TestPds) -> usize {
    pds.mail().await.iter().filter(|letter| letter.subject == "New Sign-in").count()
}

/// Goes one way from a network that nobody came from before.
async fn tell(pds: &TestPds, way: &str, held: &mut Credentials, network: usize) -> String {
    // Far enough apart for the limits of one mailbox.
    pds.advance(Duration::from_mins(70));
    let Some(call) = go(pds, way, held).await else { return ".".to_owned() };
    let before = notices(pds).await;
    let reply = call.header("x-forwarded-for", &format!("203.{}.{}.7", network / 250, network % 250)).send().await;
    if reply.status.is_success() && way.starts_with("refreshSession") {
        let refresh = reply.json()["refreshJwt"].as_str().unwrap().to_owned();
        if way.ends_with("app password") { held.app_refresh = Some(refresh) } else { held.alice.refresh = refresh }
    }
    let mailed = if notices(pds).await > before { "n" } else { "" };
    format!("{}{mailed}", letter(&reply))
}

/// Goes all ways of somebody whose sign-up was answered.
async fn answered(state: State, factor: bool) -> [String; ANSWERED.len()] {
    let mut cells = [const { String::new() }; ANSWERED.len()];
    let mut pds = server(state).await;
    let mut held = credentials(&pds, state).await;
    arrange(&pds, state, factor).await;
    let mut network = 0;
    for run in ["", "/"] {
        if run == "/" {
            pds.restart().await;
        }
        for (way, cell) in ANSWERED.iter().zip(&mut cells) {
            network += 1;
            write!(cell, "{run}{}", tell(&pds, way, &mut held, network).await).unwrap();
        }
    }
    cells
}

/// Signs Alice up and loses the answer.
async fn lose_the_answer(pds: &mut TestPds, way: &str, state: State) {
    let by_reconciler = way.ends_with("reconciler") && state != State::Queued;
    let place = if by_reconciler { Failpoint::Answered } else { Failpoint::Activated };
    pds.failpoints().set(place, At::Hang);
    let asked = pds.xrpc_post(CREATE_ACCOUNT).json(&sign_up());
    tokio::select! {
        reply = asked.send() => panic!("answered: {}", reply.text()),
        () = pds.failpoints().reached(place) => {}
    }
    pds.failpoints().clear();
    pds.crash().await;
    pds.plc().behave(Behaviour::Work).await;
    pds.do_jobs().await;
    for _ in 0..2_000 {
        let row = sign_ups::due(&*pds.app().db, i64::MAX, 1).await.unwrap().pop();
        if row.is_none_or(|row| row.state == sign_ups::SignUpState::Active) {
            return;
        }
        pds.advance(Duration::from_mins(1));
        pds.do_jobs().await;
        tokio::task::yield_now().await;
    }
    panic!("the sign-up was not finished");
}

async fn unanswered(way: &str, state: State, factor: bool) -> String {
    let mut pds = server(state).await;
    lose_the_answer(&mut pds, way, state).await;
    let db = &pds.app().db;
    let row = sign_ups::due(&**db, i64::MAX, 1).await.unwrap().pop();
    assert_eq!(row.is_none(), state == State::Queued, "the answer can still be asked for");
    arrange(&pds, state, factor).await;
    if let Some(row) = row.filter(|_| way.ends_with("behind its back") && state != State::Deleted) {
        let mut txn = Txn::new();
        sign_ups::forget(&mut txn, &row.did);
        sign_ups::insert(&mut txn, &row);
        db.commit(txn).await.unwrap();
    }
    if state == State::Deleted {
        let (status, ..) = pds.xrpc_post(CREATE_ACCOUNT).json(&sign_up()).error().await;
        assert_eq!(status, 400, "the name is held for its owner");
    }
    let alice = Actor {
        did: pds.did().clone(),
        handle: "alice.test".parse().unwrap(),
        email: String::new(),
        password: "password-of-alice".to_owned(),
        access: String::new(),
        refresh: String::new(),
    };
    let mut held = Credentials { alice, app_password: None, app_refresh: None };
    tell(&pds, way, &mut held, 0).await
}

/// Nobody has signed in since, which would forget the sign-up too.
#[tokio::test]
async fn a_sign_up_is_answered_once_whatever_restarts() {
    for (state, method) in
        [(State::Active, CREATE_ACCOUNT), (State::Active, OLD_CREATE), (State::Queued, CREATE_ACCOUNT)]
    {
        let mut pds = server(state).await;
        pds.xrpc_post(CREATE_ACCOUNT).json(&sign_up()).ok().await;
        for _ in 0..2 {
            let again = pds.xrpc_post(method).json(&sign_up()).error().await;
            assert_eq!((again.0, again.1.as_str()), (400, "HandleNotAvailable"), "{state:?} {method}");
            pds.restart().await;
        }
    }
}

#[tokio::test]
async fn every_way_to_a_session_is_open_to_whom_the_table_says() {
    let columns = STATES.into_iter().flat_map(|(state, name)| [(state, name, false), (state, name, true)]);
    let columns = columns.map(async |(state, name, factor)| {
        let mut cells = answered(state, factor).await.to_vec();
        cells.extend(join_all(UNANSWERED.map(|way| unanswered(way, state, factor))).await);
        (name, cells)
    });
    let columns = join_all(columns).await;
    let mut table = HEAD.to_owned();
    for (row, way) in ANSWERED.into_iter().chain(UNANSWERED).enumerate() {
        write!(table, "{way:<50}").unwrap();
        for pair in columns.chunks(2) {
            let [(name, off), (_, on)] = pair else { panic!("a column without its other half") };
            write!(table, " {name}: {:<12}", format!("{} {}", off[row], on[row])).unwrap();
        }
        table.truncate(table.trim_end().len());
        table.push('\n');
    }
    insta::assert_snapshot!("ways_to_a_session", table);
}

#[test]
fn no_other_method_answers_with_tokens() {
    let lexicons = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lexicons");
    let routes = xrpc::routes();
    let served: Vec<&str> = routes.nsids().collect();
    let mut answering = Vec::new();
    for method in MethodInfo::all().iter().filter(|method| served.contains(&method.nsid)) {
        let path = format!("{}.json", method.nsid.replace('.', "/"));
        let file = [lexicons.join(&path), lexicons.join("legacy").join(&path)].into_iter().find(|file| file.is_file());
        let lexicon: Value = read_json(std::fs::read(file.unwrap()).unwrap());
        if lexicon.to_string().contains("\"accessJwt\"") {
            answering.push(method.nsid);
        }
    }
    answering.sort_unstable();
    assert_eq!(answering, METHODS);
}
