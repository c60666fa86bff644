//! Sign-up with a captcha.

use std::{
    collections::{HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU16, Ordering::Relaxed},
    },
};

use allod_base::secret::Secret;
use allod_server::{adapters::site_verify::CaptchaConfig, config::Verification};
use futures_util::future::join_all;
use parking_lot::Mutex;

use super::*;
use crate::form_server::FormServer;

/// What tokens of solved captchas begin with; one that ends with `!` is right however often it is shown.
const SOLVED: &str = "P1_solved";

/// A service that behaves as hCaptcha and Turnstile do, or answers what a test says.
struct Service {
    server: FormServer,
    /// An index of [`TROUBLE`], from 1; 0 for none.
    trouble: Arc<AtomicU16>,
}

/// Answers that say nothing of the token.
const TROUBLE: [(u16, &str); 6] = [
    (500, "null"),
    (200, "{}"),
    (200, r#"{"success": "yes"}"#),
    (200, r#"{"success": false, "error-codes": ["invalid-input-secret"]}"#),
    (400, r#"{"success": false, "error-codes": ["invalid-input-response", "internal-error"]}"#),
    (503, r#"{"success": true}"#),
];

impl Service {
    async fn start() -> Self {
        let trouble = Arc::<AtomicU16>::default();
        let (told, seen) = (Arc::clone(&trouble), Mutex::<HashSet<String>>::default());
        let server = FormServer::start(move |posted| {
            if let Some((status, json)) = usize::from(told.load(Relaxed)).checked_sub(1).map(|n| TROUBLE[n]) {
                return (status, read_json(json));
            }
            let field = |name: &str| posted.fields.get(name).map_or("", String::as_str);
            assert_eq!((posted.path.as_str(), field("secret"), field("sitekey")), ("/siteverify", "secret", "site"));
            let token = field("response").to_owned();
            let is_new = seen.lock().insert(token.clone()) || token.ends_with('!');
            match (token.starts_with(SOLVED), is_new) {
                (true, true) => (200, json!({ "success": true, "hostname": "pds.test" })),
                (true, false) => (200, json!({ "success": false, "error-codes": ["timeout-or-duplicate"] })),
                (false, _) => (200, json!({ "success": false, "error-codes": ["invalid-input-response"] })),
            }
        })
        .await;
        Self { server, trouble }
    }

    async fn pds(&self) -> TestPds {
        let captcha = CaptchaConfig {
            url: self.server.url.join("/siteverify").unwrap(),
            site_key: "site".to_owned(),
            secret_key: Secret::new("secret".to_owned()),
        };
        let required = Verification::Captcha(captcha);
        TestPds::options().config(move |config| config.sign_up.verification = required.clone()).start().await
    }
}

fn with_token(name: &str, token: &str) -> Value {
    with(person(name), "verificationCode", token)
}

fn unsolved() -> Refusal {
    refusal(400, "InvalidRequest", "Could not verify the captcha. Please try again.")
}

#[tokio::test]
async fn a_solved_captcha_makes_one_account() {
    let service = Service::start().await;
    let pds = service.pds().await;
    let call = create(&pds, &with_token("alice", &format!(" {SOLVED} "))).header("x-forwarded-for", "198.51.100.7");
    call.ok().await;
    let posts = service.server.posts();
    assert_eq!((posts.len(), posts[0].fields.get("remoteip").map(String::as_str)), (1, Some("198.51.100.7")));
    assert_eq!(posts[0].fields["response"], SOLVED);
    assert_eq!(posts[0].authorization, None);
    assert_eq!(refused(&pds, &with_token("bob", SOLVED)).await, unsolved());
    created(&pds, &with_token("bob", &format!("{SOLVED} again"))).await;
    assert!(!service.server.posts()[2].fields.contains_key("remoteip"), "the machine's own address is nobody's");
}

#[tokio::test]
async fn nothing_happens_without_a_solved_captcha() {
    let service = Service::start().await;
    let pds = service.pds().await;
    let text = "A captcha is required: send the token of a solved one as verificationCode";
    let missing = refusal(400, "InvalidRequest", text);
    assert_eq!(refused(&pds, &person("alice")).await, missing);
    assert_eq!(refused(&pds, &with_token("alice", "  ")).await, missing);
    let old = pds.xrpc_post("com.atproto.account.create").json(&person("alice")).error().await;
    assert_eq!(old, missing, "the old way in has no place for it");
    let did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    assert_eq!(refused(&pds, &with(person("alice"), "did", did)).await, missing, "nor does who moves in");
    let phone = with(person("alice"), "verificationPhone", "+14155550123");
    assert_eq!(refused(&pds, &phone).await, missing, "a telephone number is no captcha");
    assert_eq!(refused(&pds, &with_token("alice", &format!("{SOLVED}{}", "x".repeat(20_000)))).await, unsolved());
    assert_eq!(service.server.posts(), [], "nobody is asked about what can't be right");
    assert_eq!(refused(&pds, &with_token("alice", "guessed")).await, unsolved());
    let short = with(with_token("alice", SOLVED), "password", "short");
    assert_eq!(refused(&pds, &short).await.1, "InvalidPassword");
    seen::nothing_happened(&pds).await;
    let number_ignored = with(with_token("alice", SOLVED), "verificationPhone", "+14155550123");
    created(&pds, &number_ignored).await;
}

#[tokio::test]
async fn a_service_that_is_down_lets_nobody_in() {
    let service = Service::start().await;
    let pds = service.pds().await;
    for trouble in 1..=TROUBLE.len() {
        service.trouble.store(u16::try_from(trouble).unwrap(), Relaxed);
        seen::told_to_come_back(&create(&pds, &with_token("alice", SOLVED)).send().await);
    }
    drop(service);
    seen::told_to_come_back(&create(&pds, &with_token("alice", SOLVED)).send().await);
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn shown_a_hundred_times_at_once_a_token_makes_one_account() {
    let service = Service::start().await;
    let pds = service.pds().await;
    // Also where the service would take it every time.
    let token = format!("{SOLVED}!");
    let racers = (0..100).map(|n| {
        let call = create(&pds, &with_token(&format!("racer{n}"), &token));
        async move { call.send().await }
    });
    let mut answers = HashMap::new();
    for reply in join_all(racers).await {
        let message = reply.json()["message"].as_str().unwrap_or_default().to_owned();
        *answers.entry((reply.status.as_u16(), message)).or_insert(0) += 1;
    }
    assert_eq!(answers, HashMap::from([((200, String::new()), 1), ((400, unsolved().2), 99)]));
    assert_eq!(service.server.posts().len(), 100);
}
