//! Named administration tokens, and the log of what is done with them.

use allod_server::{
    control::{Administration, Answer, Command, ControlError, Silent, execute},
    domain::audit::ENTRIES_MAX,
};
use allod_store::{Txn, sql};
use allod_testkit::{Call, TestPds};
use data_encoding::BASE64;
use serde_json::json;

use crate::{
    com_atproto::admin::repo_ref,
    seen::{self, refusal},
};

async fn command(pds: &TestPds, action: Administration) -> Result<Answer, ControlError> {
    execute(pds.app(), Command::Administer { action }, &mut Silent).await
}

async fn token(pds: &TestPds, name: &str, moderator: bool, expires_days: Option<u32>) -> String {
    let action = Administration::TokenCreate { name: name.to_owned(), moderator, expires_days };
    let answer = command(pds, action).await.unwrap();
    let Answer::AdminTokenCreated(created) = answer else { panic!("{answer:?}") };
    created.token.expose().to_owned()
}

/// The log's lines, newest first: who, how, what came of it.
async fn log(pds: &TestPds) -> Vec<(String, String, String)> {
    let answer = command(pds, Administration::Audit { cursor: None, limit: 100 }).await.unwrap();
    let Answer::Audit(log) = answer else { panic!("{answer:?}") };
    log.entries.into_iter().map(|line| (line.actor, line.method, line.outcome)).collect()
}

fn basic(call: Call, token: &str) -> Call {
    call.header("authorization", &format!("Basic {}", BASE64.encode(format!("admin:{token}").as_bytes())))
}

#[tokio::test]
async fn a_token_opens_what_its_scope_says_until_it_ends() {
    let mut pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let (admin, moderator) = (token(&pds, "ops", false, None).await, token(&pds, "mod.1", true, Some(2)).await);
    let info = |pds: &TestPds| pds.xrpc_get("com.atproto.admin.getAccountInfo").param("did", &alice.did);
    let invite = |pds: &TestPds| pds.xrpc_post("com.atproto.server.createInviteCode").json(&json!({ "useCount": 1 }));
    for shown in [&admin, &moderator] {
        info(&pds).bearer(shown).ok().await;
        basic(info(&pds), shown).ok().await;
    }
    invite(&pds).bearer(&admin).ok().await;
    basic(invite(&pds), &admin).ok().await;
    let forbidden = refusal(403, "Forbidden", "This token has moderator scope only");
    assert_eq!(invite(&pds).bearer(&moderator).error().await, forbidden);
    let unknown = refusal(401, "AuthenticationRequired", "Authentication Required");
    let other_user = format!("Basic {}", BASE64.encode(format!("root:{admin}").as_bytes()));
    assert_eq!(info(&pds).header("authorization", &other_user).error().await, unknown);

    pds.advance(std::time::Duration::from_hours(48));
    assert_eq!(info(&pds).bearer(&moderator).error().await, unknown);
    info(&pds).bearer(&admin).ok().await;
    command(&pds, Administration::TokenRevoke { name: "ops".to_owned() }).await.unwrap();
    for _ in 0..2 {
        assert_eq!(info(&pds).bearer(&admin).error().await, unknown);
        pds.restart().await;
    }
    let again = command(&pds, Administration::TokenRevoke { name: "ops".to_owned() }).await.unwrap_err();
    assert_eq!((again.error.as_str(), again.message.as_str()), ("NotFound", "there is no token ops"));
}

#[tokio::test]
async fn a_token_is_kept_as_a_hash_and_a_name_is_given_once() {
    let pds = TestPds::start().await;
    let shown = token(&pds, "ops", false, None).await;
    let action = Administration::TokenCreate { name: "ops".to_owned(), moderator: true, expires_days: None };
    assert_eq!(command(&pds, action).await.unwrap_err().message, "there is a token of this name already");
    for name in ["", "a b", "über", &"x".repeat(65)] {
        let action = Administration::TokenCreate { name: name.to_owned(), moderator: true, expires_days: None };
        assert_eq!(command(&pds, action).await.unwrap_err().error, "InvalidRequest");
    }
    let rows = pds.app().db.read(sql!("SELECT hex(token_hash), name FROM admin_tokens")).await.unwrap();
    assert_eq!(rows.len(), 1);
    let hash: String = rows.first().unwrap().get(0).unwrap();
    assert_eq!((hash.len(), shown.len()), (64, "allod-admin-".len() + 43));
}

#[tokio::test]
async fn the_log_has_who_did_what_and_what_was_refused() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let moderator = token(&pds, "mod.1", true, None).await;
    let update = "com.atproto.admin.updateSubjectStatus";
    let change = json!({ "subject": repo_ref(&alice), "takedown": { "applied": true } });
    pds.advance(std::time::Duration::from_secs(1));
    pds.xrpc_post(update).bearer(&moderator).json(&change).ok().await;
    pds.advance(std::time::Duration::from_secs(1));
    let missing = json!({ "account": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa" });
    pds.xrpc_post("com.atproto.admin.disableAccountInvites").admin().json(&missing).error().await;
    pds.xrpc_post(update).json(&change).error().await;
    let line = |actor: &str, method: &str, outcome: &str| (actor.to_owned(), method.to_owned(), outcome.to_owned());
    let expected = [
        line("password", "com.atproto.admin.disableAccountInvites", "refused: Account not found"),
        line("token:mod.1", update, "done"),
        line("command-line", "admin-token create", "done"),
    ];
    assert_eq!(log(&pds).await, expected);
    seen::set_takedown(&pds, &repo_ref(&alice), None).await;
    assert_eq!(log(&pds).await.len(), 4);

    // What the directory does is noted once it is done.
    let handle = "com.atproto.admin.updateAccountHandle";
    for (typed, outcome) in
        [("liz.test", "done"), ("bob.example.com", "refused: External handle did not resolve to DID")]
    {
        pds.advance(std::time::Duration::from_secs(1));
        pds.xrpc_post(handle).admin().json(&json!({ "did": alice.did, "handle": typed })).send().await;
        assert_eq!(log(&pds).await[0], line("password", handle, outcome));
    }
}

#[tokio::test]
async fn the_oldest_lines_go() {
    let pds = TestPds::start().await;
    let mut txn = Txn::new();
    txn.run(sql!(
        "INSERT INTO audit (at, nonce, actor, method, subject, outcome) \
         WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < $1) \
         SELECT n, x'00', 'x', 'x', 'x', 'x' FROM n",
        ENTRIES_MAX + 10
    ));
    pds.app().db.commit(txn).await.unwrap();
    pds.do_jobs().await;
    let rows = pds.app().db.read(sql!("SELECT count(*), min(at) FROM audit")).await.unwrap();
    let row = rows.first().unwrap();
    assert_eq!((row.get::<i64>(0).unwrap(), row.get::<i64>(1).unwrap()), (ENTRIES_MAX, 11));
}
