//! A conflict is taken for the outcome that it means; of any other key it is an error.

use allod_server::control::{Administration, Command, Silent, execute};
use allod_store::{ConflictKey, fault::Fault};
use allod_testkit::TestPds;

/// A key that none of these operations asserts.
const OTHER: ConflictKey = ConflictKey::Test("another assertion");

#[tokio::test]
async fn ending_a_token_takes_only_its_absence_for_none() {
    let pds = TestPds::start().await;
    let create = Administration::TokenCreate { name: "ops".to_owned(), moderator: false, expires_days: None };
    execute(pds.app(), Command::Administer { action: create }, &mut Silent).await.unwrap();
    let revoke = async || {
        let action = Administration::TokenRevoke { name: "ops".to_owned() };
        execute(pds.app(), Command::Administer { action }, &mut Silent).await
    };
    pds.store().at_commit(1, Fault::Conflict(OTHER));
    assert_eq!(revoke().await.unwrap_err().error, "InternalServerError");
    pds.store().at_commit(1, Fault::Conflict(ConflictKey::AdminTokenGone));
    assert_eq!(revoke().await.unwrap_err().error, "NotFound");
    revoke().await.unwrap();
}

#[tokio::test]
async fn refreshing_tries_again_only_when_the_session_was_replaced() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let refresh = || pds.xrpc_post("com.atproto.server.refreshSession").bearer(&alice.refresh).send();
    pds.store().at_commit(1, Fault::Conflict(OTHER));
    assert_eq!(refresh().await.status, 500);
    assert_eq!(pds.logged_errors().len(), 1);
    pds.store().at_commit(1, Fault::Conflict(ConflictKey::SessionMoved));
    assert_eq!(refresh().await.status, 200);
}
