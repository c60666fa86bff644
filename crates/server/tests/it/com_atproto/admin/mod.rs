//! `com.atproto.admin.*`.

mod delete_account;
mod disable_account_invites;
mod disable_invite_codes;
mod enable_account_invites;
mod get_account_info;
mod get_account_infos;
mod get_invite_codes;
mod get_subject_status;
mod search_accounts;
mod send_email;
mod update_account_email;
mod update_account_handle;
mod update_account_password;
mod update_account_signing_key;
mod update_subject_status;

use allod_atproto::frame::Message;
use allod_testkit::{Actor, Call, TestPds};
use serde_json::{Value, json};

use crate::seen::{self, refusal};

const UPDATE: &str = "com.atproto.admin.updateSubjectStatus";
const STATUS: &str = "com.atproto.admin.getSubjectStatus";

/// Checks that a method is closed to everybody but the operator and moderators. `call` makes one that would do.
pub(crate) async fn nobody_else(pds: &TestPds, call: impl Fn() -> Call) {
    let alice = pds.sign_in("alice").await;
    let unauthenticated = refusal(401, "AuthenticationRequired", "Authentication Required");
    let wrong = "Basic YWRtaW46d3Jvbmc=";
    for refused in [
        call(),
        call().bearer(&alice.access),
        call().bearer(&alice.refresh),
        call().bearer("allod-admin-wrong"),
        call().header("authorization", wrong),
    ] {
        assert_eq!(refused.error().await, unauthenticated);
    }
}

pub(crate) fn repo_ref(actor: &Actor) -> Value {
    json!({ "$type": "com.atproto.admin.defs#repoRef", "did": actor.did })
}

/// Writes a note and gives what refers to it.
async fn note(pds: &TestPds, actor: &Actor, key: &str) -> Value {
    let body = json!({ "repo": actor.did, "collection": "com.example.note", "rkey": key, "record": { "n": key } });
    let made = pds.xrpc_post("com.atproto.repo.createRecord").bearer(&actor.access).json(&body).ok().await;
    json!({ "$type": "com.atproto.repo.strongRef", "uri": made["uri"], "cid": made["cid"] })
}

/// Asks for a change of a subject's status.
fn update(pds: &TestPds, body: &Value) -> Call {
    pds.xrpc_post(UPDATE).admin().json(body)
}

/// An account's status as the stream told it last.
async fn told(pds: &TestPds) -> (bool, Option<String>) {
    let events = pds.events().await;
    let last = events
        .into_iter()
        .rev()
        .find_map(|(_, frame)| if let Message::Account(account) = frame.message { Some(account) } else { None });
    let last = last.unwrap();
    (last.active, last.status.map(|status| status.name().to_owned()))
}

async fn account_info(pds: &TestPds, actor: &Actor) -> Value {
    pds.xrpc_get("com.atproto.admin.getAccountInfo").admin().param("did", &actor.did).ok().await
}

async fn wrong_post(pds: &TestPds, nsid: &str) {
    seen::wrong_verb(pds.xrpc_get(nsid), "GET", "POST").await;
}

async fn wrong_get(pds: &TestPds, nsid: &str) {
    seen::wrong_verb(pds.xrpc_post(nsid), "POST", "GET").await;
}
