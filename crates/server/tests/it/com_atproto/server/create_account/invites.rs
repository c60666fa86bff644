//! Invite codes at sign-up.

use allod_testkit::{Behaviour, TestPds};
use serde_json::Value;

use super::{created, person, refused, with};
use crate::seen::{self, refusal};

fn unusable() -> seen::Refusal {
    refusal(400, "InvalidInviteCode", "Provided invite code not available")
}

#[tokio::test]
async fn a_code_is_needed_where_the_operator_wants_one() {
    let pds = TestPds::options().invite_required().start().await;
    let missing = refusal(400, "InvalidInviteCode", "No invite code provided");
    for code in [Value::Null, "".into(), " ".into()] {
        assert_eq!(refused(&pds, &with(person("alice"), "inviteCode", code)).await, missing);
    }
    for wrong in ["localhost-aaaaa-aaaaa", "x", "' OR 1=1 --", "\u{0}"] {
        assert_eq!(refused(&pds, &with(person("alice"), "inviteCode", wrong)).await, unusable());
    }
    seen::nothing_happened(&pds).await;
}

#[tokio::test]
async fn a_wrong_code_is_refused_on_an_open_server_too() {
    let pds = TestPds::start().await;
    assert_eq!(refused(&pds, &with(person("alice"), "inviteCode", "wrong")).await, unusable());
    seen::nothing_happened(&pds).await;
    seen::names_are_free(&pds, "alice.test", "alice@mail.test").await;
}

#[tokio::test]
async fn one_use_makes_one_account() {
    let pds = TestPds::options().invite_required().start().await;
    let code = pds.invite(2).await;
    for name in ["alice", "bob"] {
        created(&pds, &with(person(name), "inviteCode", code.as_str())).await;
    }
    assert_eq!(refused(&pds, &with(person("carol"), "inviteCode", code.as_str())).await, unusable());
    assert_eq!(pds.plc().genesis_operations(), 2);

    let padded = format!(" {} ", pds.invite(1).await);
    created(&pds, &with(person("dora"), "inviteCode", padded.as_str())).await;
}

#[tokio::test]
async fn a_code_counts_on_an_open_server_too() {
    let pds = TestPds::start().await;
    let code = pds.invite(1).await;
    created(&pds, &with(person("alice"), "inviteCode", code.as_str())).await;
    assert_eq!(refused(&pds, &with(person("bob"), "inviteCode", code.as_str())).await, unusable());
}

#[tokio::test]
async fn a_refused_sign_up_gives_everything_back() {
    let pds = TestPds::options().invite_required().start().await;
    let code = pds.invite(1).await;
    let alice = with(person("alice"), "inviteCode", code.as_str());
    let refusing = Behaviour::Answer(400, "no such operation".to_owned());
    pds.plc().behave_on_submissions(refusing);
    assert_eq!(refused(&pds, &alice).await, refusal(400, "InvalidRequest", "no such operation"));
    seen::names_are_free(&pds, "alice.test", "alice@mail.test").await;

    pds.plc().behave_on_submissions(Behaviour::Work);
    assert_eq!(refused(&pds, &with(alice.clone(), "password", "short")).await.1, "InvalidPassword");
    created(&pds, &alice).await;
}
