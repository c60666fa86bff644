//! `com.atproto.admin.getSubjectStatus`.

use allod_testkit::TestPds;
use serde_json::json;

use super::{STATUS, nobody_else, note, repo_ref, update, wrong_get};
use crate::{
    blobs::{refer, uploaded},
    seen::refusal,
};

#[tokio::test]
async fn tells_of_accounts_records_and_blobs() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let record = note(&pds, &alice, "one").await;
    let cid = uploaded(&pds, &alice, b"a blob").await;
    refer(&pds, &alice.did, "b", 1, &[cid]).await;
    let blob = json!({ "$type": "com.atproto.admin.defs#repoBlobRef", "did": alice.did, "cid": cid.to_string() });
    let status = async |subject: &serde_json::Value| {
        let mut call = pds.xrpc_get(STATUS).admin();
        for (name, param) in [("did", "did"), ("uri", "uri"), ("cid", "blob")] {
            if let Some(value) = subject[name].as_str().filter(|_| name != "cid" || subject["uri"].is_null()) {
                call = call.param(param, value);
            }
        }
        call.ok().await
    };
    for subject in [repo_ref(&alice), record, blob] {
        assert_eq!(status(&subject).await["takedown"], json!({ "applied": false }));
        for takedown in [json!({ "applied": true, "ref": "a-report" }), json!({ "applied": false })] {
            let body = json!({ "subject": subject, "takedown": takedown });
            let answer = update(&pds, &body).ok().await;
            assert_eq!(answer, json!({ "subject": subject, "takedown": takedown }));
            let seen = status(&subject).await;
            assert_eq!((&seen["subject"], &seen["takedown"]), (&subject, &takedown));
        }
    }
    assert_eq!(status(&repo_ref(&alice)).await["deactivated"], json!({ "applied": false }));
}

#[tokio::test]
async fn refuses_others_and_what_is_not_here() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    nobody_else(&pds, || pds.xrpc_get(STATUS).param("did", &alice.did)).await;
    wrong_get(&pds, STATUS).await;
    let ask = || pds.xrpc_get(STATUS).admin();
    assert_eq!(ask().error().await, refusal(400, "InvalidRequest", "No provided subject"));
    let cid = "bafkreihdwdcefgh4dqkjv67uzcmw7ojee6xedzdetojuzjevtenxquvyku";
    let alone = refusal(400, "InvalidRequest", "Must provide a did to request blob state");
    assert_eq!(ask().param("blob", cid).error().await, alone);
    let missing = refusal(404, "NotFound", "Subject not found");
    let nobody = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    assert_eq!(ask().param("did", nobody).error().await, missing);
    assert_eq!(ask().param("uri", format!("at://{nobody}/a.b.c/d")).error().await, missing);
    assert_eq!(ask().param("did", &alice.did).param("blob", cid).error().await, missing);
    let refused = ask().param("uri", format!("at://{nobody}")).error().await;
    let message = "The URI is not that of a record, at://DID/COLLECTION/RKEY";
    assert_eq!(refused, refusal(400, "InvalidRequest", message));
}
