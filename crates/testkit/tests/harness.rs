//! The harness itself: what tests of everything else rely on.

use std::{panic::AssertUnwindSafe, time::Duration};

use allod_atproto::frame::Message;
use allod_base::clock::Clock;
use allod_server::domain::sign_up::failpoint::Failpoint;
use allod_testkit::{At, Behaviour, FakeClock, SeededRandomness, TestPds};
use futures_util::FutureExt;
use serde_json::json;

const CREATE_ACCOUNT: &str = "com.atproto.server.createAccount";

fn body(handle: &str) -> serde_json::Value {
    json!({ "handle": handle, "email": format!("{handle}@mail.test"), "password": "correct-horse" })
}

/// The text a panic carries.
async fn panic_of(future: impl Future<Output = ()>) -> Option<String> {
    let panic = AssertUnwindSafe(future).catch_unwind().await.err()?;
    let text = panic.downcast_ref::<String>().cloned();
    text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()))
}

#[tokio::test]
async fn an_account_is_real_and_outlives_restart_and_crash() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(alice.handle.as_str(), "alice.test");
    let document = pds.plc().document(alice.did.as_str()).await.unwrap();
    assert_eq!(document["alsoKnownAs"], json!(["at://alice.test"]));
    assert_eq!((pds.plc().genesis_operations(), pds.plc().accepted_genesis_operations()), (1, 1));

    let origin = pds.url();
    pds.restart().await;
    pds.crash().await;
    assert_eq!(pds.url(), origin);
    let session = pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).ok().await;
    assert_eq!(session["did"], alice.did.as_str());

    let kinds: Vec<&str> = pds
        .events()
        .await
        .iter()
        .map(|(_, frame)| match frame.message {
            Message::Commit(_) => "commit",
            Message::Sync(_) => "sync",
            Message::Identity(_) => "identity",
            Message::Account(_) => "account",
            Message::Info(_) | Message::Error(_) | Message::Other { .. } => "other",
        })
        .collect();
    assert_eq!(kinds, ["identity", "account", "commit", "sync"]);
}

#[tokio::test]
async fn invites_are_made_where_they_are_needed() {
    let pds = TestPds::options().invite_required().handle_domains(&[".one.test", ".two.test"]).start().await;
    let alice = pds.account("alice").await;
    assert_eq!(alice.handle.as_str(), "alice.one.test");
    let (status, error, _) = pds.xrpc_post(CREATE_ACCOUNT).json(&body("bob.two.test")).error().await;
    assert_eq!((status, error.as_str()), (400, "InvalidInviteCode"));
}

#[tokio::test]
async fn the_directory_does_what_it_is_told() {
    let pds = TestPds::options().plc_timeout(Duration::from_millis(300)).start().await;
    let plc = pds.plc();

    plc.behave(Behaviour::Down).await;
    let refused = pds.client().get(plc.url()).send().await.unwrap_err();
    assert!(refused.is_connect(), "{refused:?}");
    plc.behave(Behaviour::Work).await;
    assert_eq!(pds.client().get(plc.url().join("_health").unwrap()).send().await.unwrap().status(), 200);

    plc.behave_on_submissions(Behaviour::Answer(400, "no".to_owned()));
    let (status, ..) = pds.xrpc_post(CREATE_ACCOUNT).json(&body("alice.test")).error().await;
    assert_eq!(status, 400);
    assert_eq!((plc.genesis_operations(), plc.accepted_genesis_operations()), (1, 0));

    plc.behave(Behaviour::Hang).await;
    let (status, ..) = pds.xrpc_post(CREATE_ACCOUNT).json(&body("bob.test")).error().await;
    assert_eq!(status, 503);
    assert_eq!(plc.accepted_genesis_operations(), 0);

    plc.behave(Behaviour::Work).await;
    plc.behave_on_submissions(Behaviour::WorkAndDrop);
    let reply = pds.xrpc_post(CREATE_ACCOUNT).json(&body("carol.test")).send().await;
    assert!(reply.status == 200 || reply.status == 503, "{}", reply.text());
    assert!(plc.accepted_genesis_operations() >= 1);

    plc.behave(Behaviour::Slow(Duration::from_millis(1))).await;
    pds.account("dave").await;
}

#[tokio::test]
async fn a_crash_ends_what_hangs_at_a_failpoint() {
    let mut pds = TestPds::start().await;
    pds.failpoints().set(Failpoint::Reserved, At::Hang);
    let call = tokio::spawn(pds.xrpc_post(CREATE_ACCOUNT).json(&body("alice.test")).try_send());
    pds.failpoints().reached(Failpoint::Reserved).await;
    pds.crash().await;
    assert!(call.await.unwrap().is_err(), "the connection broke");
    pds.failpoints().clear();

    pds.failpoints().set(Failpoint::Admitted, At::Fail("told to".to_owned()));
    let (status, ..) = pds.xrpc_post(CREATE_ACCOUNT).json(&body("bob.test")).error().await;
    assert_eq!(status, 500);
    assert!(!pds.logged_errors().is_empty(), "an internal error is logged");
}

#[tokio::test]
async fn an_error_that_nobody_read_fails_the_test() {
    let panic = panic_of(async {
        let pds = TestPds::start().await;
        pds.failpoints().set(Failpoint::Admitted, At::Fail("told to".to_owned()));
        pds.xrpc_post(CREATE_ACCOUNT).json(&body("alice.test")).error().await;
    });
    let panic = panic.await.unwrap();
    assert!(panic.contains("errors were logged") && panic.contains("told to"), "{panic}");
}

#[tokio::test]
async fn a_success_that_should_not_be_fails_the_test() {
    let pds = TestPds::start().await;
    let panic = panic_of(async {
        pds.xrpc_get("com.atproto.server.describeServer").error().await;
    });
    assert!(panic.await.unwrap().contains("succeeded"));
}

#[tokio::test]
async fn time_stands_still_until_it_is_moved() {
    let clock = FakeClock::default();
    let start = clock.now_micros();
    let mut sleep = clock.sleep(2_000_000);
    assert!((&mut sleep).now_or_never().is_none());
    clock.advance(Duration::from_secs(1));
    assert!((&mut sleep).now_or_never().is_none());
    clock.advance(Duration::from_secs(1));
    sleep.await;
    assert_eq!(clock.now_micros() - start, 2_000_000);
}

#[test]
fn the_same_seed_gives_the_same_bytes() {
    use allod_base::randomness::bytes;
    let draw = |seed| {
        let randomness = SeededRandomness::new(seed);
        (bytes::<40>(&randomness), bytes::<40>(&randomness))
    };
    assert_eq!(draw(1), draw(1));
    assert_ne!(draw(1), draw(2));
    assert_ne!(draw(1).0, draw(1).1);
}

#[tokio::test]
async fn the_network_has_what_was_put_there() {
    use allod_atproto::Handle;
    let pds = TestPds::start().await;
    let did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    pds.network().txt("_atproto.alice.allod.social", &[&format!("did={did}")]);
    let found = pds.app().resolver.handle(&Handle::parse("alice.allod.social").unwrap()).await.unwrap();
    assert_eq!(found.unwrap().as_str(), did);
    let missing = pds.app().resolver.handle(&Handle::parse("bob.allod.social").unwrap()).await;
    assert!(!matches!(missing, Ok(Some(_))));
}

#[tokio::test]
async fn a_consumer_notices_what_a_relay_would_drop() {
    use allod_atproto::frame::Frame;
    use allod_testkit::Consumer;

    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for n in 0..3 {
        let body = json!({
            "repo": alice.did, "collection": "com.example.note", "rkey": format!("k{}", n % 2), "record": { "n": n }
        });
        pds.xrpc_post("com.atproto.repo.putRecord").bearer(&alice.access).json(&body).ok().await;
    }
    let frames: Vec<Frame> = pds.events().await.into_iter().map(|(_, frame)| frame).collect();
    let follow = |frames: &[Frame]| {
        let mut consumer = Consumer::default();
        frames.iter().try_for_each(|frame| consumer.take(frame, None)).map(|()| consumer)
    };
    let consumer = follow(&frames).unwrap();
    assert_eq!(consumer.repo(&alice.did).unwrap().records.as_ref().unwrap().len(), 2);
    // identity, account, commit, sync, commit, commit, commit
    for at in [4, 5] {
        let left_out = [&frames[..at], &frames[at + 1..]].concat();
        assert!(follow(&left_out).unwrap_err().contains("follows on"), "without {at}");
        let mut swapped = frames.clone();
        let seqs = (swapped[at].seq, swapped[at + 1].seq);
        swapped.swap(at, at + 1);
        (swapped[at].seq, swapped[at + 1].seq) = seqs;
        assert!(follow(&swapped).is_err(), "{at} and the next swapped");
        let mut twice = frames.clone();
        twice.insert(at, frames[at].clone());
        assert!(follow(&twice).unwrap_err().contains("comes after"), "{at} twice");
    }
    let mut another = frames.clone();
    let Message::Commit(commit) = &mut another[6].message else { panic!("not a commit") };
    commit.ops.clear();
    assert!(follow(&another).unwrap_err().contains("make the tree"), "an operation was left out");
    let stranger = allod_atproto::crypto::SigningKey::from_bytes(allod_atproto::crypto::Curve::K256, &[7; 32]).unwrap();
    let forged = Consumer::default().take(&frames[2], Some(&stranger.did_key()));
    assert!(forged.unwrap_err().contains("signature"));
}
