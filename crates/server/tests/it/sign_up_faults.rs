//! Sign-up when things go wrong: the directory, the process, two people at once. Whatever happens, an account is there
//! whole or not at all, and no DID is left without one.

use std::{collections::HashSet, time::Duration};

use allod_atproto::{Did, Handle};
use allod_server::domain::sign_up::{failpoint::Failpoint, reconcile};
use allod_store::{
    Txn,
    fault::Fault,
    tables::{
        accounts::{self, Account},
        sign_ups::{self, KeyOrigin, SignUp, SignUpState},
    },
};
use allod_testkit::{At, Behaviour, TestPds};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{elsewhere::CREATE_ACCOUNT, seen};

const RACERS: usize = 200;

fn alice() -> Value {
    json!({ "handle": "alice.test", "email": "alice@mail.test", "password": "correct horse" })
}

async fn sign_up(pds: &TestPds, body: &Value) -> (u16, String, Value) {
    let reply = pds.xrpc_post(CREATE_ACCOUNT).json(body).send().await;
    let json = reply.json();
    (reply.status.as_u16(), json["error"].as_str().unwrap_or_default().to_owned(), json)
}

/// Lets a quarter of an hour pass, and the server do by itself what it does in that time.
async fn a_quarter_of_an_hour(pds: &TestPds) {
    for _ in 0..5 {
        pds.do_jobs().await;
        pds.advance(Duration::from_mins(3));
    }
    // The server's own timer may have a pass under way that holds a sign-up: it ends in a moment of real time.
    for _ in 0..500 {
        pds.do_jobs().await;
        let unfinished = sign_ups::due(&*pds.app().db, i64::MAX, 10).await.unwrap();
        if unfinished.iter().all(|row| row.state == SignUpState::Active) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
        pds.advance(Duration::from_mins(1));
    }
}

/// Checks that Alice has an account whose DID is the one the directory took, or that nothing is left of her.
/// Tells which.
async fn whole_or_nothing(pds: &TestPds) -> bool {
    let login = pds.xrpc_post("com.atproto.server.createSession");
    let login = login.json(&json!({ "identifier": "alice@mail.test", "password": "correct horse" })).send().await;
    let did = whole_or_nothing_unused(pds).await;
    match &did {
        None => assert_eq!(login.status.as_u16(), 401, "nobody can sign in"),
        Some(did) => {
            assert_eq!(login.status.as_u16(), 200, "{}", login.text());
            assert_eq!(login.json()["did"], did.as_str(), "the DID at the directory is the account's");
        }
    }
    did.is_some()
}

/// The same without signing in, after which the same request is not answered any more; gives Alice's DID.
async fn whole_or_nothing_unused(pds: &TestPds) -> Option<String> {
    let mut accepted = HashSet::new();
    for submission in pds.plc().submissions() {
        if pds.plc().document(&submission.did).await.is_some() {
            accepted.insert(submission.did);
        }
    }
    let unfinished = sign_ups::due(&*pds.app().db, i64::MAX, 10).await.unwrap();
    assert!(unfinished.iter().all(|row| row.state == SignUpState::Active), "{unfinished:?}");
    let kinds: Vec<_> = pds.events().await.into_iter().map(|(event, _)| (event.seq, event.kind.code())).collect();
    let Some(did) = accepted.iter().next() else {
        assert!(kinds.is_empty(), "the network was told of nobody: {kinds:?}");
        seen::names_are_free(pds, "alice.test", "alice@mail.test").await;
        return None;
    };
    assert_eq!(accepted.len(), 1, "one person, one DID");
    assert_eq!(kinds, [(1, 3), (2, 4), (3, 1), (4, 2)], "identity, account, commit, sync, once");
    let document = pds.plc().document(did).await.unwrap();
    assert_eq!(document["alsoKnownAs"], json!(["at://alice.test"]));
    assert_eq!(pds.xrpc_get("com.atproto.sync.getRepo").param("did", did).send().await.status.as_u16(), 200);
    Some(did.clone())
}

#[tokio::test]
async fn every_place_fails_or_crashes_and_all_or_nothing_is_left() {
    for place in Failpoint::ALL {
        for crash in [false, true] {
            for behaviour in [Behaviour::Work, Behaviour::WorkAndDrop, Behaviour::Answer(400, "no".to_owned())] {
                let mut pds = TestPds::start().await;
                pds.plc().behave_on_submissions(behaviour.clone());
                if crash {
                    pds.failpoints().set(place, At::Hang);
                    let body = alice();
                    let asked = sign_up(&pds, &body);
                    // Places that this directory's answer does not lead to are passed by; then the answer comes.
                    tokio::select! { _ = asked => {}, () = pds.failpoints().reached(place) => {} }
                    pds.failpoints().clear();
                    pds.crash().await;
                } else {
                    pds.failpoints().set(place, At::Fail("told to fail".to_owned()));
                    sign_up(&pds, &alice()).await;
                    pds.failpoints().clear();
                }
                pds.plc().behave(Behaviour::Work).await;
                a_quarter_of_an_hour(&pds).await;
                let refused = matches!(behaviour, Behaviour::Answer(..));
                let there = whole_or_nothing(&pds).await;
                assert!(!(refused && there), "{place:?}: the directory refused");
                let _ = pds.logged_errors();
                if !there {
                    let (status, _, answer) = sign_up(&pds, &alice()).await;
                    assert_eq!(status, 200, "{place:?}, crash {crash}, {behaviour:?}: {answer}");
                }
            }
        }
    }
}

#[tokio::test]
async fn a_place_that_takes_long_is_waited_for() {
    for place in Failpoint::ALL.into_iter().filter(|place| *place != Failpoint::Releasing) {
        let pds = TestPds::start().await;
        pds.failpoints().set(place, At::Wait);
        let body = alice();
        let (answer, ()) = tokio::join!(sign_up(&pds, &body), async {
            pds.failpoints().reached(place).await;
            // The reconciler leaves alone what is being driven.
            pds.advance(Duration::from_mins(15));
            pds.do_jobs().await;
            pds.failpoints().go_on();
        });
        assert_eq!(answer.0, 200, "{place:?}: {}", answer.2);
        assert!(whole_or_nothing(&pds).await);
    }
}

#[tokio::test]
async fn a_caller_who_goes_away_leaves_a_whole_account() {
    let pds = TestPds::start().await;
    pds.failpoints().set(Failpoint::Submitting, At::Wait);
    let body = alice();
    let asked = sign_up(&pds, &body);
    tokio::select! { _ = asked => panic!("it answered"), () = pds.failpoints().reached(Failpoint::Submitting) => {} }
    pds.failpoints().go_on();
    pds.failpoints().reached(Failpoint::Activated).await;
    assert!(whole_or_nothing(&pds).await);
}

#[tokio::test]
async fn a_definite_failure_of_the_directory_leaves_nothing() {
    for (behaviour, status, name) in [
        (Behaviour::Down, 502, "UpstreamFailure"),
        (Behaviour::Answer(429, "slow down".to_owned()), 502, "UpstreamFailure"),
        (Behaviour::Answer(400, "not today".to_owned()), 400, "InvalidRequest"),
    ] {
        let pds = TestPds::options().invite_required().start().await;
        let code = pds.invite(1).await;
        let mut body = alice();
        body["inviteCode"] = code.into();
        pds.plc().behave(behaviour.clone()).await;
        let answer = sign_up(&pds, &body).await;
        assert_eq!((answer.0, answer.1.as_str()), (status, name), "{behaviour:?}");
        seen::names_are_free(&pds, "alice.test", "alice@mail.test").await;
        pds.plc().behave(Behaviour::Work).await;
        assert!(!whole_or_nothing(&pds).await);
        // The invite's one use was given back.
        assert_eq!(sign_up(&pds, &body).await.0, 200, "{behaviour:?}");
    }
}

#[tokio::test]
async fn an_answer_that_was_lost_is_asked_for() {
    for behaviour in [Behaviour::WorkAndDrop, Behaviour::WorkAndAnswer(500, "oops".to_owned())] {
        let pds = TestPds::start().await;
        pds.plc().behave_on_submissions(behaviour.clone());
        assert_eq!(sign_up(&pds, &alice()).await.0, 200, "{behaviour:?}");
        assert!(whole_or_nothing(&pds).await);
    }
}

#[tokio::test]
async fn an_unknown_answer_converges_and_the_same_request_gets_the_same_did() {
    for behaviour in [Behaviour::WorkAndDrop, Behaviour::Answer(500, "oops".to_owned()), Behaviour::Hang] {
        for (crash, wait) in [(false, false), (true, false), (false, true), (true, true)] {
            let mut pds = TestPds::options().plc_timeout(Duration::from_millis(150)).start().await;
            pds.plc().behave(behaviour.clone()).await;
            let reply = pds.xrpc_post(CREATE_ACCOUNT).json(&alice()).send().await;
            assert_eq!(reply.status.as_u16(), 503, "{behaviour:?}: {}", reply.text());
            assert!(reply.headers.contains_key("retry-after"));
            let did = pds.plc().submissions()[0].did.clone();

            let mut stranger = alice();
            stranger["password"] = "another password".into();
            let refused = sign_up(&pds, &stranger).await;
            assert_eq!((refused.0, refused.1.as_str()), (400, "HandleNotAvailable"), "{behaviour:?}");

            pds.plc().behave(Behaviour::Work).await;
            if crash {
                pds.crash().await;
            }
            if wait {
                a_quarter_of_an_hour(&pds).await;
                let taken = behaviour == Behaviour::WorkAndDrop;
                let there = whole_or_nothing_unused(&pds).await.is_some();
                assert_eq!(there, taken, "{behaviour:?}, crash {crash}");
            }
            let (status, _, answer) = sign_up(&pds, &alice()).await;
            assert_eq!(status, 200, "{behaviour:?}, crash {crash}, wait {wait}: {answer}");
            if !wait || behaviour == Behaviour::WorkAndDrop {
                assert_eq!(answer["did"], did.as_str(), "{behaviour:?}, crash {crash}, wait {wait}");
            }
            assert!(whole_or_nothing(&pds).await);
            let again = sign_up(&pds, &alice()).await;
            assert_eq!((again.0, again.1.as_str()), (400, "HandleNotAvailable"), "once answered it is a new request");
        }
    }
}

#[tokio::test]
async fn of_many_sign_ups_for_one_handle_one_succeeds() {
    let pds = TestPds::start().await;
    let bodies: Vec<Value> = (0..RACERS)
        .map(|n| json!({ "handle": "alice.test", "email": format!("n{n}@mail.test"), "password": "correct horse" }))
        .collect();
    let answers = join_all(bodies.iter().map(|body| sign_up(&pds, body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.0 == 200).count(), 1);
    assert!(answers.iter().all(|answer| answer.0 == 200 || answer.1 == "HandleNotAvailable"));
    assert_eq!((pds.plc().genesis_operations(), pds.plc().accepted_genesis_operations()), (1, 1));
}

#[tokio::test]
async fn of_many_equal_requests_one_succeeds() {
    let pds = TestPds::start().await;
    let body = alice();
    let answers = join_all((0..50).map(|_| sign_up(&pds, &body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.0 == 200).count(), 1);
    let others: Vec<_> = answers.iter().filter(|answer| answer.0 != 200 && answer.1 != "HandleNotAvailable").collect();
    assert!(others.is_empty(), "{others:?}");
    assert_eq!(pds.plc().genesis_operations(), 1);
    assert!(whole_or_nothing(&pds).await);
}

#[tokio::test]
async fn of_many_sign_ups_with_one_invite_use_one_succeeds() {
    let pds = TestPds::options().invite_required().start().await;
    let code = pds.invite(1).await;
    let bodies: Vec<Value> = (0..RACERS)
        .map(|n| {
            json!({
                "handle": format!("racer{n}.test"), "email": format!("n{n}@mail.test"),
                "password": "correct horse", "inviteCode": code,
            })
        })
        .collect();
    let answers = join_all(bodies.iter().map(|body| sign_up(&pds, body))).await;
    assert_eq!(answers.iter().filter(|answer| answer.0 == 200).count(), 1);
    assert!(answers.iter().all(|answer| answer.0 == 200 || answer.1 == "InvalidInviteCode"));
    assert_eq!(pds.plc().genesis_operations(), 1);
}

#[tokio::test]
async fn a_sign_up_whose_store_fails_comes_to_an_end() {
    // More than any sign-up needs.
    const CALLS_MAX: u64 = 60;
    // How often the call that fails may be somebody else's.
    const SPARED_MAX: u32 = 20;
    let body = alice();
    for fault in [Fault::Fail, Fault::UnknownLost, Fault::UnknownApplied] {
        for at_commit in [true, false] {
            let (mut tried, mut spared, mut n) = (0, 0, 1);
            while n < CALLS_MAX {
                let mut pds = TestPds::start().await;
                // Background work at start has its own calls.
                pds.do_jobs().await;
                if at_commit {
                    pds.store().at_commit(n, fault);
                } else {
                    pds.store().at_read(n, Fault::Fail);
                }
                let reply = pds.xrpc_post(CREATE_ACCOUNT).json(&body).send().await;
                let told = format!("{fault:?}, commits {at_commit}, call {n}: {}", reply.text());
                if reply.status != 200 {
                    tried += 1;
                    seen::told_to_come_back(&reply);
                    // After an unknown outcome the store is opened again; also what was left must end without that.
                    if at_commit && fault != Fault::Fail {
                        pds.restart().await;
                    }
                }
                pds.store().clear();
                a_quarter_of_an_hour(&pds).await;
                let _ = pds.logged_errors();
                let there = whole_or_nothing_unused(&pds).await.is_some();
                if reply.status == 200 {
                    assert!(there, "{told}");
                    spared += 1;
                    // The server's own timer may have made the call that failed; then the sign-up has its turn again.
                    if tried >= 2 || spared == SPARED_MAX {
                        break;
                    }
                    continue;
                }
                n += 1;
                let again = pds.xrpc_post(CREATE_ACCOUNT).json(&body).send().await;
                assert_eq!(again.status.as_u16(), 200, "{told}: {}", again.text());
                assert!(whole_or_nothing(&pds).await, "{told}");
            }
            assert!(tried >= 2, "{fault:?}: only {tried} calls were made to fail");
            if !at_commit {
                break;
            }
        }
    }
}

fn interrupted(n: u32) -> SignUp {
    SignUp {
        did: Did::parse(&format!("did:plc:interrupted{n:0>13}").replace(['0', '1', '8', '9'], "z")).unwrap(),
        state: SignUpState::Reserved,
        driver: Some("an earlier run".to_owned()),
        handle: Handle::parse(&format!("interrupted{n}.test")).unwrap(),
        email: None,
        email_key: None,
        password_hash: None,
        invite_code: None,
        operation: "{}".to_owned(),
        key_origin: KeyOrigin::New,
        deactivated: false,
        created_at: 0,
        deadline: i64::MAX,
        // Not due for a long time.
        next_try_at: i64::MAX,
        tries: 0,
        last_error: None,
    }
}

/// What an earlier run left is released at start, however much it is.
#[tokio::test]
async fn a_start_looks_at_everything_that_was_interrupted() {
    let mut pds = TestPds::start().await;
    let mut seen = HashSet::new();
    let rows: Vec<SignUp> =
        (0..100_000).map(interrupted).filter(|row| seen.insert(row.did.clone())).take(450).collect();
    assert_eq!(rows.len(), 450);
    for row in &rows {
        let mut txn = Txn::new();
        sign_ups::insert(&mut txn, row);
        pds.app().db.commit(txn).await.unwrap();
    }
    pds.restart().await;
    let all = async {
        while !sign_ups::page(&*pds.app().db, None, 1).await.unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), all).await.is_ok(), "some were forgotten");
}

/// What the directory says of one DID is no outage.
#[tokio::test]
async fn a_log_that_cannot_be_read_holds_up_its_own_sign_up_alone() {
    for unreadable in [Behaviour::Answer(400, "no".to_owned()), Behaviour::Answer(200, "no log".to_owned())] {
        let pds = TestPds::start().await;
        pds.plc().behave_on_submissions(Behaviour::WorkAndDrop);
        pds.plc().behave_on_reads(Behaviour::Answer(500, "no".to_owned()));
        for name in ["alice", "bob"] {
            let body = json!({
                "handle": format!("{name}.test"), "email": format!("{name}@mail.test"), "password": "correct horse",
            });
            assert_eq!(sign_up(&pds, &body).await.0, 503);
        }
        let outage = reconcile::recover(pds.app()).await.unwrap();
        assert!(outage.is_outage);
        pds.plc().behave_on_reads(Behaviour::Work);
        // They are looked at in this order.
        let rows = sign_ups::page(&*pds.app().db, None, 2).await.unwrap();
        pds.plc().behave_on_reads_of(rows[0].did.as_str(), unreadable);
        let done = reconcile::recover(pds.app()).await.unwrap();
        assert_eq!((done.finished, done.waiting, done.is_outage), (1, 1, false));
        let row = sign_ups::by_did(&*pds.app().db, &rows[0].did).await.unwrap().unwrap();
        assert!(row.tries > 0, "it is tried again");
        pds.plc().behave_on_reads_of(row.did.as_str(), Behaviour::Work);
        a_quarter_of_an_hour(&pds).await;
        assert!(accounts::by_did(&*pds.app().db, &row.did).await.unwrap().is_some());
    }
}

/// A sign-up that can't become an account waits for nobody: the operator is told.
#[tokio::test]
async fn a_sign_up_that_conflicts_is_no_sign_up_that_waits() {
    let pds = TestPds::start().await;
    pds.arranges_the_impossible();
    pds.plc().behave_on_submissions(Behaviour::WorkAndDrop);
    pds.plc().behave_on_reads(Behaviour::Answer(500, "no".to_owned()));
    assert_eq!(sign_up(&pds, &alice()).await.0, 503);
    let row = sign_ups::page(&*pds.app().db, None, 1).await.unwrap().remove(0);
    assert_eq!(row.state, SignUpState::Submitted);
    let mut txn = Txn::new();
    accounts::insert(&mut txn, &Account::new(row.did.clone(), row.handle.clone(), 0));
    pds.app().db.commit(txn).await.unwrap();

    pds.plc().behave_on_reads(Behaviour::Work);
    pds.advance(Duration::from_mins(2));
    // By this pass or by the server's own.
    let told = async {
        loop {
            pds.do_jobs().await;
            let row = sign_ups::by_did(&*pds.app().db, &row.did).await.unwrap().unwrap();
            if row.last_error.is_some_and(|reason| reason.contains("conflicts")) {
                return;
            }
            tokio::task::yield_now().await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(20), told).await.is_ok(), "it waits");
    // Those of this thread's passes are not caught.
    let _ = pds.logged_errors();
}
