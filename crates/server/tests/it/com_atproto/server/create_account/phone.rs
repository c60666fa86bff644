//! Sign-up with a telephone number.

use std::{collections::HashMap, time::Duration};

use allod_server::domain::sign_up::failpoint::Failpoint;
use allod_store::sql;
use allod_testkit::{At, Behaviour};
use futures_util::future::join_all;

use super::*;
use crate::phones::{self, CODE, Twilio};

const NUMBER: &str = "+14155550123";

fn with_phone(name: &str, number: &str, code: &str) -> Value {
    with(with(person(name), "verificationPhone", number), "verificationCode", code)
}

fn unverified() -> Refusal {
    refusal(400, "InvalidRequest", "Could not verify phone number. Please try again.")
}

/// How many accounts and sign-ups count for numbers.
async fn counted(pds: &TestPds) -> i64 {
    let rows = pds.app().db.read(sql!("SELECT count(*) FROM phone_accounts")).await.unwrap();
    rows.first().unwrap().get(0).unwrap()
}

#[tokio::test]
async fn a_right_code_makes_one_account() {
    let twilio = Twilio::start().await;
    let pds = twilio.options(4).start().await;
    phones::ask(&pds, NUMBER).await;
    created(&pds, &with_phone("alice", " +1 415-555-0123", &format!(" {CODE} "))).await;
    assert_eq!(refused(&pds, &with_phone("bob", NUMBER, CODE)).await, unverified(), "it is used up");
    phones::ask(&pds, NUMBER).await;
    assert_eq!(refused(&pds, &with_phone("bob", NUMBER, CODE)).await, unverified(), "a code is new each time");
    pds.advance(Duration::from_mins(11));
    pds.do_jobs().await;
    phones::ask(&pds, NUMBER).await;
    created(&pds, &with_phone("bob", NUMBER, CODE)).await;
}

#[tokio::test]
async fn the_code_shown_in_development_makes_an_account() {
    let pds = phones::development().start().await;
    phones::ask(&pds, NUMBER).await;
    let code = pds.code_mailed_to(NUMBER).await;
    let wrong = format!("{:06}", (code.parse::<u32>().unwrap() + 1) % 1_000_000);
    assert_eq!(refused(&pds, &with_phone("alice", NUMBER, &wrong)).await, unverified());
    created(&pds, &with_phone("alice", NUMBER, &code)).await;
    assert_eq!(refused(&pds, &with_phone("bob", NUMBER, &code)).await, unverified());

    phones::ask(&pds, NUMBER).await;
    let code = pds.code_mailed_to(NUMBER).await;
    for _ in 0..5 {
        assert_eq!(refused(&pds, &with_phone("bob", NUMBER, "0000")).await, unverified());
    }
    assert_eq!(refused(&pds, &with_phone("bob", NUMBER, &code)).await, unverified(), "burned by wrong tries");
    phones::ask(&pds, NUMBER).await;
    let code = pds.code_mailed_to(NUMBER).await;
    pds.advance(Duration::from_mins(10));
    assert_eq!(refused(&pds, &with_phone("bob", NUMBER, &code)).await, unverified(), "too old");
}

#[tokio::test]
async fn nothing_happens_before_the_number_is_verified() {
    let twilio = Twilio::start().await;
    let pds = twilio.options(4).start().await;
    let missing = refusal(
        400,
        "InvalidRequest",
        "Phone verification is required: ask for a code with com.atproto.temp.requestPhoneVerification and send \
         verificationPhone and verificationCode",
    );
    for (number, code) in [("", ""), (NUMBER, " "), ("", CODE)] {
        assert_eq!(refused(&pds, &with_phone("alice", number, code)).await, missing);
    }
    assert_eq!(refused(&pds, &person("alice")).await, missing);
    let number = refusal(400, "InvalidRequest", "not a phone number in international form, such as +14155550123");
    assert_eq!(refused(&pds, &with_phone("alice", "415 555 0123", CODE)).await, number);
    assert_eq!(refused(&pds, &with_phone("alice", NUMBER, CODE)).await, unverified(), "none was sent");
    phones::ask(&pds, NUMBER).await;
    for code in ["424243", "42424", "four", "42424242424", "٤٢٤٢٤٢"] {
        assert_eq!(refused(&pds, &with_phone("alice", NUMBER, code)).await, unverified(), "{code}");
    }
    assert_eq!(refused(&pds, &with_phone("alice", "+14155550124", CODE)).await, unverified(), "another number");

    let old = pds.xrpc_post("com.atproto.account.create").json(&person("alice")).error().await;
    assert_eq!(old, missing, "the old way in has no place for it");
    let did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    assert_eq!(refused(&pds, &with(person("alice"), "did", did)).await, missing, "nor does who moves in");
    seen::nothing_happened(&pds).await;
    seen::names_are_free(&pds, "alice.test", "alice@mail.test").await;
    created(&pds, &with_phone("alice", NUMBER, CODE)).await;
}

#[tokio::test]
async fn a_provider_that_is_down_lets_nobody_in() {
    let twilio = Twilio::start().await;
    let pds = twilio.options(4).start().await;
    phones::ask(&pds, NUMBER).await;
    for (status, code) in [(500, 0), (401, 20003), (200, 0)] {
        twilio.answer(status, code);
        seen::told_to_come_back(&create(&pds, &with_phone("alice", NUMBER, CODE)).send().await);
    }
    twilio.answer(429, 60202);
    assert_eq!(refused(&pds, &with_phone("alice", NUMBER, CODE)).await, unverified(), "typed wrong too often");
    drop(twilio);
    seen::told_to_come_back(&create(&pds, &with_phone("alice", NUMBER, CODE)).send().await);
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn a_number_makes_so_many_accounts_and_no_more_even_when_they_are_deleted() {
    let twilio = Twilio::start().await;
    let pds = twilio.options(2).start().await;
    let sign_up = async |name: &str| {
        pds.advance(Duration::from_mins(11));
        pds.do_jobs().await;
        phones::ask(&pds, NUMBER).await;
        create(&pds, &with_phone(name, NUMBER, CODE)).send().await
    };
    let alice = sign_up("alice").await.json();
    assert_eq!(sign_up("bob").await.status, 200);
    let spent = "There are too many accounts currently using this phone number. Max: 2";
    assert_eq!(sign_up("carol").await.json()["message"], spent);
    pds.xrpc_post("com.atproto.admin.deleteAccount").admin().json(&json!({ "did": alice["did"] })).send().await;
    assert_eq!(sign_up("carol").await.json()["message"], spent);
    let kept = pds.app().db.read(sql!("SELECT did FROM phone_accounts WHERE did IS NOT NULL")).await.unwrap();
    assert_eq!(kept.len(), 1, "whose it was is forgotten");
    phones::ask(&pds, "+14155550124").await;
    created(&pds, &with_phone("carol", "+14155550124", CODE)).await;
}

#[tokio::test]
async fn shown_a_hundred_times_at_once_a_code_makes_one_account() {
    for development in [false, true] {
        let twilio = Twilio::start().await;
        let options = if development { phones::development() } else { twilio.options(4) };
        let pds = options.start().await;
        phones::ask(&pds, NUMBER).await;
        let code = if development { pds.code_mailed_to(NUMBER).await } else { CODE.to_owned() };
        let racers = (0..100).map(|n| {
            let body = with_phone(&format!("racer{n}"), NUMBER, &code);
            let call = create(&pds, &body);
            async move { call.send().await }
        });
        let mut answers = HashMap::new();
        for reply in join_all(racers).await {
            let message = reply.json()["message"].as_str().unwrap_or_default().to_owned();
            *answers.entry((reply.status.as_u16(), message)).or_insert(0) += 1;
        }
        assert_eq!(answers.remove(&(200, String::new())), Some(1), "{answers:?}");
        assert_eq!(answers, HashMap::from([((400, unverified().2), 99)]));
        assert_eq!(counted(&pds).await, 1);
    }
}

#[tokio::test]
async fn of_many_codes_for_one_number_as_many_count_as_it_makes_accounts() {
    let twilio = Twilio::start().await;
    let pds = twilio.options(2).start().await;
    phones::ask(&pds, NUMBER).await;
    let racers = (10..30).map(|n| {
        let body = with_phone(&format!("racer{n}"), NUMBER, &format!("{}{n}", phones::LASTING_CODES));
        let call = create(&pds, &body);
        async move { call.send().await }
    });
    let answers = join_all(racers).await;
    assert_eq!(answers.iter().filter(|reply| reply.status == 200).count(), 2);
    let spent = "There are too many accounts currently using this phone number. Max: 2";
    assert_eq!(answers.iter().filter(|reply| reply.json()["message"] == spent).count(), 18);
    assert_eq!(counted(&pds).await, 2);
}

#[tokio::test]
async fn a_code_outlives_a_sign_up_that_failed_for_another_reason() {
    let twilio = Twilio::start().await;
    let pds = twilio.options(4).start().await;
    phones::ask(&pds, NUMBER).await;
    let body = with_phone("alice", NUMBER, CODE);
    pds.plc().behave(Behaviour::Down).await;
    assert_eq!(create(&pds, &body).send().await.status, 502);
    assert_eq!(counted(&pds).await, 0, "given back");
    pds.plc().behave(Behaviour::Work).await;
    created(&pds, &body).await;
    assert_eq!(counted(&pds).await, 1);
}

#[tokio::test]
async fn wherever_a_sign_up_crashes_the_code_is_used_up_by_it_or_can_be_used() {
    for place in Failpoint::ALL {
        let twilio = Twilio::start().await;
        let mut pds = twilio.options(4).start().await;
        phones::ask(&pds, NUMBER).await;
        let body = with_phone("alice", NUMBER, CODE);
        pds.failpoints().set(place, At::Hang);
        let asked = create(&pds, &body).send();
        tokio::select! { _ = asked => {}, () = pds.failpoints().reached(place) => {} }
        pds.failpoints().clear();
        pds.crash().await;
        // Long enough for the reconciler, and not for the code.
        for _ in 0..4 {
            pds.do_jobs().await;
            pds.advance(Duration::from_secs(40));
        }
        let made = pds.xrpc_post("com.atproto.server.createSession");
        let made = made.json(&json!({ "identifier": "alice.test", "password": "correct horse" })).send().await;
        if made.status != 200 {
            created(&pds, &body).await;
        }
        assert_eq!(counted(&pds).await, 1, "{place:?}");
        assert_eq!(refused(&pds, &with_phone("bob", NUMBER, CODE)).await, unverified(), "{place:?}");
    }
}

#[tokio::test]
async fn codes_are_tried_so_often_for_a_number_and_no_more() {
    let twilio = Twilio::start().await;
    let options = twilio.options(4).config(|config| config.rate_limits.enabled = true);
    let pds = options.start().await;
    let from = async |address: &str, number: &str| {
        let body = with_phone("alice", number, "100000");
        create(&pds, &body).header("x-forwarded-for", address).send().await.status
    };
    for _ in 0..20 {
        assert_eq!(from("198.51.100.0", NUMBER).await, 400);
    }
    assert_eq!(from("198.51.100.0", NUMBER).await, 429);
    assert_eq!(from("198.51.100.0", "+14155550124").await, 400);
    // The number's owner elsewhere is not kept out; only by many addresses together.
    for n in 1..=180 {
        assert_eq!(from(&format!("198.51.100.{n}"), NUMBER).await, 400, "{n}");
    }
    assert_eq!(from("198.51.100.200", NUMBER).await, 429);
}

#[tokio::test]
async fn the_number_itself_is_nowhere_in_the_store() {
    let twilio = Twilio::start().await;
    let pds = twilio.options(4).start().await;
    phones::ask(&pds, NUMBER).await;
    created(&pds, &with_phone("alice", NUMBER, CODE)).await;
    let folder = pds.database().parent().unwrap().to_owned();
    for file in std::fs::read_dir(folder).unwrap() {
        let path = file.unwrap().path();
        if path.is_file() {
            let bytes = std::fs::read(&path).unwrap();
            let found = bytes.windows(10).any(|window| window == b"4155550123");
            assert!(!found, "{}", path.display());
        }
    }
}
