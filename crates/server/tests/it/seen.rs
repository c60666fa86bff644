//! What a test sees of a server beside its answers: refusals side by side, and whether anything was left behind.

use allod_atproto::{Did, Handle, frame::Message};
use allod_store::{
    ConflictKey, Touched, Txn, sql,
    tables::{accounts, sign_ups},
};
use allod_testkit::{Actor, Call, Reply, TestPds};
use serde_json::{Value, json};

/// Status, error name and message.
pub(crate) type Refusal = (u16, String, String);

/// A refusal as a test expects it.
pub(crate) fn refusal(status: u16, name: &str, message: &str) -> Refusal {
    (status, name.to_owned(), message.to_owned())
}

/// Checks that a call without a credential, with the wrong kind, and with the wrong verb is refused as everywhere.
///
/// `right` and `wrong` are the method called with its own verb and with the other one.
pub(crate) async fn wrong_verb(call: Call, sent: &str, expected: &str) {
    let message = format!("Incorrect HTTP method ({sent}) expected {expected}");
    assert_eq!(call.error().await, refusal(400, "InvalidRequest", &message));
}

/// Checks that nobody signed up, nothing is held for anybody, and the directory heard of nothing.
pub(crate) async fn nothing_happened(pds: &TestPds) {
    let db = &*pds.app().db;
    assert_eq!(accounts::page(db, None, 10).await.unwrap(), []);
    assert_eq!(sign_ups::due(db, i64::MAX, 10).await.unwrap(), []);
    assert!(pds.plc().submissions().is_empty(), "the directory heard of it");
    assert!(pds.events().await.is_empty(), "the network was told");
}

/// Checks that nobody holds these names.
pub(crate) async fn names_are_free(pds: &TestPds, handle: &str, email: &str) {
    let db = &*pds.app().db;
    assert_eq!(accounts::handle_holder(db, &Handle::parse(handle).unwrap()).await.unwrap(), None);
    assert_eq!(accounts::email_holder(db, email).await.unwrap(), None);
}

/// Takes an account down.
pub(crate) async fn take_down(pds: &TestPds, did: &Did) {
    let subject = json!({ "$type": "com.atproto.admin.defs#repoRef", "did": did });
    set_takedown(pds, &subject, Some("a-report")).await;
}

/// Takes a subject down by a report, or not any more.
pub(crate) async fn set_takedown(pds: &TestPds, subject: &Value, report: Option<&str>) {
    let mut takedown = json!({ "applied": report.is_some() });
    if let Some(report) = report {
        takedown["ref"] = report.into();
    }
    let body = json!({ "subject": subject, "takedown": takedown });
    pds.xrpc_post("com.atproto.admin.updateSubjectStatus").admin().json(&body).ok().await;
}

/// Signs the owner of an account that was taken down in, for what is left to do there.
pub(crate) async fn signed_in_after_takedown(pds: &TestPds, owner: Actor) -> Actor {
    let body = json!({ "identifier": owner.did, "password": owner.password, "allowTakendown": true });
    let session = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
    Actor { access: session["accessJwt"].as_str().unwrap().to_owned(), ..owner }
}

/// Deactivates an account that was active, and tells nobody.
pub(crate) async fn deactivate(pds: &TestPds, did: &Did) {
    let mut txn = Txn::new();
    txn.touch(Touched::Account(did.to_string()));
    txn.expect(
        ConflictKey::Test("there"),
        1,
        sql!("UPDATE accounts SET deactivated_at = created_at + 1 WHERE did = $1", did.as_str()),
    );
    pds.app().db.commit(txn).await.unwrap();
}

/// Checks that a caller was told to come back: the server can't do it now, and nothing is wrong with the request.
#[track_caller]
pub(crate) fn told_to_come_back(reply: &Reply) {
    assert_eq!(reply.status.as_u16(), 503, "{}", reply.text());
    let name = reply.json()["error"].clone();
    assert!(name == "NotEnoughResources" || name == "DataDamaged", "{}", reply.text());
    let after: u64 = reply.headers["retry-after"].to_str().unwrap().parse().unwrap();
    assert!((1..=60).contains(&after), "come back in {after} s");
}

/// The handles the network was told of an account, in order.
pub(crate) async fn handles_told(pds: &TestPds, did: &Did) -> Vec<String> {
    let mut handles = Vec::new();
    for (_, frame) in pds.events().await {
        if let Message::Identity(identity) = frame.message
            && identity.did == *did
        {
            handles.extend(identity.handle.map(|handle| handle.to_string()));
        }
    }
    handles
}
