//! `com.atproto.server.requestPasswordReset`.

use allod_testkit::{Reply, TestPds};
use serde_json::json;

use crate::seen;

const NSID: &str = "com.atproto.server.requestPasswordReset";

async fn ask(pds: &TestPds, email: &str) -> Reply {
    pds.xrpc_post(NSID).json(&json!({ "email": email })).send().await
}

#[tokio::test]
async fn mails_a_code_to_whoever_has_the_account() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    assert_eq!(ask(&pds, " ALICE@mail.test").await.status, 200);
    pds.code_mailed_to(&alice.email).await;
    assert_eq!(pds.mail().await.last().unwrap().subject, "Password Reset Requested");
}

#[tokio::test]
async fn nobody_can_tell_whether_there_is_an_account() {
    let pds = TestPds::start().await;
    pds.account("alice").await;
    let (reads, commits) = (pds.store().reads(), pds.store().commits());
    let known = ask(&pds, "alice@mail.test").await;
    let work_known = (pds.store().reads() - reads, pds.store().commits() - commits);
    pds.do_jobs().await;
    let (reads, commits) = (pds.store().reads(), pds.store().commits());
    let unknown = ask(&pds, "nobody@mail.test").await;
    let work_unknown = (pds.store().reads() - reads, pds.store().commits() - commits);
    assert_eq!((known.status, &known.body), (unknown.status, &unknown.body));
    let names = |reply: &Reply| reply.headers.keys().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(names(&known), names(&unknown));
    assert!(work_known.1 >= 1 && work_unknown.1 >= 1, "both wait for the disk: {work_known:?} {work_unknown:?}");
    pds.do_jobs().await;
    assert!(pds.mail().await.iter().all(|letter| letter.to == "alice@mail.test"));
    for nonsense in ["", "nonsense", "a@b@c"] {
        assert_eq!(ask(&pds, nonsense).await.status, 200);
    }
}

#[tokio::test]
async fn a_credential_is_not_looked_at() {
    let pds = TestPds::start().await;
    let body = json!({ "email": "nobody@mail.test" });
    assert_eq!(pds.xrpc_post(NSID).bearer("nonsense").json(&body).send().await.status, 200);
    seen::wrong_verb(pds.xrpc_get(NSID), "GET", "POST").await;
}
