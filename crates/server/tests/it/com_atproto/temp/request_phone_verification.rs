//! `com.atproto.temp.requestPhoneVerification`.

use std::time::Duration;

use allod_server::config::RateLimitConfig;
use allod_testkit::{Call, TestPds};
use serde_json::{Value, json};

use crate::{
    phones::{self, REQUEST, Twilio},
    seen::{self, refusal},
};

const NUMBER: &str = "+1 (415) 555-0123";

fn request(pds: &TestPds, body: &Value) -> Call {
    pds.xrpc_post(REQUEST).json(body)
}

#[tokio::test]
async fn the_provider_is_asked_for_the_number_in_international_form() {
    let twilio = Twilio::start().await;
    let pds = twilio.options(4).start().await;
    phones::ask(&pds, NUMBER).await;
    let posts = twilio.server.posts();
    assert_eq!(posts.len(), 1);
    assert_eq!(posts[0].path, "/v2/Services/VA1/Verifications");
    let fields: Vec<_> = posts[0].fields.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    assert_eq!(fields, [("Channel", "sms"), ("To", "+14155550123")]);
    assert!(pds.mail().await.is_empty(), "what a provider sends is nowhere else");
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn in_development_the_code_is_among_the_mail() {
    let pds = phones::development().start().await;
    phones::ask(&pds, NUMBER).await;
    let first = pds.code_mailed_to("+14155550123").await;
    assert!(first.len() == 6 && first.bytes().all(|digit| digit.is_ascii_digit()), "{first}");
    phones::ask(&pds, NUMBER).await;
    assert_ne!(pds.code_mailed_to("+14155550123").await, first);
}

#[tokio::test]
async fn what_is_no_number_is_refused_before_anybody_is_asked() {
    let twilio = Twilio::start().await;
    let pds = twilio.options(4).start().await;
    let message = "not a phone number in international form, such as +14155550123";
    for number in ["", "4155550123", "+1", "+1415555012345678", "alice", "+1415555\u{0}0123"] {
        let refused = request(&pds, &json!({ "phoneNumber": number })).error().await;
        assert_eq!(refused, refusal(400, "InvalidRequest", message), "{number:?}");
    }
    let missing = request(&pds, &json!({})).error().await;
    assert_eq!(missing, refusal(400, "InvalidRequest", "Missing required key \"phoneNumber\" at $"));
    assert_eq!(twilio.server.posts(), []);
}

#[tokio::test]
async fn a_server_that_verifies_no_numbers_says_so() {
    let pds = TestPds::start().await;
    let refused = request(&pds, &json!({ "phoneNumber": NUMBER })).error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "phone verification not enabled"));
    seen::wrong_verb(pds.xrpc_get(REQUEST), "GET", "POST").await;
}

#[tokio::test]
async fn trouble_of_the_provider_is_told_apart() {
    let twilio = Twilio::start().await;
    let pds = twilio.options(4).start().await;
    let ask = || request(&pds, &json!({ "phoneNumber": NUMBER })).send();
    for (status, code) in [(400, 60200), (400, 60205), (403, 60410)] {
        twilio.answer(status, code);
        let reply = ask().await;
        assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (400, Some("InvalidRequest")), "{code}");
    }
    twilio.answer(429, 60203);
    let reply = ask().await;
    assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (429, Some("RateLimitExceeded")));
    assert_eq!(reply.headers["retry-after"], "600");
    for (status, code) in [(401, 20003), (404, 20404), (400, 60000), (500, 0), (503, 0), (200, 0)] {
        twilio.answer(status, code);
        seen::told_to_come_back(&ask().await);
    }
    drop(twilio);
    seen::told_to_come_back(&ask().await);
}

#[tokio::test]
async fn a_number_and_an_address_get_so_many_codes_and_no_more() {
    let twilio = Twilio::start().await;
    let on = RateLimitConfig { enabled: true, ..RateLimitConfig::default() };
    let pds = twilio.options(4).config(move |config| config.rate_limits = on.clone()).start().await;
    let ask = |number: String, address: &str| {
        request(&pds, &json!({ "phoneNumber": number })).header("x-forwarded-for", address).send()
    };
    for _ in 0..5 {
        assert_eq!(ask("+14155550123".to_owned(), "198.51.100.0").await.status, 200);
    }
    assert_eq!(ask("+1 415 555 0123".to_owned(), "198.51.100.0").await.status, 429, "one number and address");
    for n in 1..16 {
        let owner = ask("+14155550123".to_owned(), &format!("198.51.100.{n}")).await.status;
        assert_eq!(owner, 200, "a stranger does not keep the owner from codes");
    }
    assert_eq!(ask("+1 415 555 0123".to_owned(), "198.51.100.99").await.status, 429, "one number, many addresses");
    for n in 0..20 {
        assert_eq!(ask(format!("+141555501{n:02}"), "203.0.113.1").await.status, 200);
    }
    assert_eq!(ask("+14155550199".to_owned(), "203.0.113.1").await.status, 429, "one address, many numbers");
    assert_eq!(twilio.server.posts().len(), 40, "what is refused costs nothing");
    pds.advance(Duration::from_hours(1));
    assert_eq!(ask("+14155550123".to_owned(), "203.0.113.1").await.status, 200);
}
