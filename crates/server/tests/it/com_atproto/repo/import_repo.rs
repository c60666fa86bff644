//! `com.atproto.repo.importRepo`.

mod carried;
mod interrupted;
mod made;
mod moving;
mod refused;

use allod_atproto::{Did, Tid, repo::SignedCommit};
use allod_server::domain::repos;
use allod_store::{ConflictKey, sql};
use allod_testkit::{Call, TestPds};
use bytes::Bytes;
use serde_json::{Value, json};

use self::made::{Made, Shown};
use crate::{
    elsewhere::{CREATE_ACCOUNT, Resident},
    seen::refusal,
};

const NSID: &str = "com.atproto.repo.importRepo";
const CAR: &str = "application/vnd.ipld.car";

/// Somebody from elsewhere with a deactivated account here.
struct Mover {
    resident: Resident,
    access: String,
}

impl Mover {
    async fn new(pds: &TestPds) -> Self {
        Self::moved(pds, Resident::new(pds, 50).await).await
    }

    async fn moved(pds: &TestPds, resident: Resident) -> Self {
        let body = json!({
            "handle": "mover.test", "email": "mover@mail.test", "password": "correct horse", "did": resident.did
        });
        let created = pds.xrpc_post(CREATE_ACCOUNT).json(&body).bearer(&resident.token(pds)).ok().await;
        Self { access: created["accessJwt"].as_str().unwrap().to_owned(), resident }
    }

    fn did(&self) -> &Did {
        &self.resident.did
    }

    fn import(&self, pds: &TestPds, file: impl Into<Bytes>) -> Call {
        import(pds, &self.access, file)
    }

    /// Imports what must be taken, and gives what the repository is then.
    async fn imported(&self, pds: &TestPds, file: impl Into<Bytes>) -> Shown {
        let reply = self.import(pds, file).send().await;
        assert_eq!((reply.status.as_u16(), reply.text()), (200, String::new()));
        self.shown(pds).await
    }

    /// The repository as the operator may read it at any time.
    async fn shown(&self, pds: &TestPds) -> Shown {
        let reply = pds.xrpc_get("com.atproto.sync.getRepo").param("did", self.did()).admin().send().await;
        assert_eq!(reply.status.as_u16(), 200, "{}", reply.text());
        Shown::read(&reply.body)
    }

    /// A repository of some records, signed by the account's key elsewhere, of this moment.
    fn made(&self, count: u32) -> Made {
        let mut made = Made::new(self.did());
        for number in 0..count {
            made.put(&format!("com.example.note/{number:05}"), &json!({ "$type": "com.example.note", "n": number }));
        }
        made
    }

    fn file(&self, pds: &TestPds, made: &Made) -> Bytes {
        made.file(&made.commit(&self.resident.signing, now_rev(pds)))
    }

    /// Makes the account active: there is no method for it yet.
    async fn activate(&self, pds: &TestPds) -> SignedCommit {
        let did = self.did().clone();
        let activate = move |txn: &mut allod_store::Txn| {
            let active = "UPDATE accounts SET deactivated_at = NULL, delete_after = NULL WHERE did = $1";
            txn.expect(ConflictKey::Test("there"), 1, sql!(active, did.as_str()));
            txn.touch(allod_store::Touched::Account(did.to_string()));
        };
        repos::announce(pds.app(), self.did(), activate).await.unwrap()
    }

    /// Signs in again, when time has gone by.
    async fn sign_in(&mut self, pds: &TestPds) {
        let body = json!({ "identifier": "mover@mail.test", "password": "correct horse" });
        let session = pds.xrpc_post("com.atproto.server.createSession").json(&body).ok().await;
        text(&session["accessJwt"]).clone_into(&mut self.access);
    }
}

fn import(pds: &TestPds, token: &str, file: impl Into<Bytes>) -> Call {
    pds.xrpc_post(NSID).bearer(token).body(CAR, file)
}

/// A revision of this moment.
fn now_rev(pds: &TestPds) -> Tid {
    use allod_base::clock::Clock as _;
    Tid::from_parts(pds.clock().now_micros(), 7)
}

/// How many rows a query of one number finds.
async fn count(pds: &TestPds, query: allod_store::Statement) -> i64 {
    pds.app().db.read(query).await.unwrap().first().unwrap().get(0).unwrap()
}

/// How many sets of records are there that no repository has.
async fn nobodys_sets(pds: &TestPds) -> i64 {
    count(pds, sql!("SELECT count(*) FROM old_record_sets")).await
}

/// Checks that no file is left, and no record that is in no repository.
async fn check_nothing_left(pds: &TestPds) {
    let files = std::fs::read_dir(pds.imports()).map_or(0, Iterator::count);
    assert_eq!(files, 0, "a file is left");
    for orphans in [
        sql!("SELECT count(*) FROM records WHERE record_set NOT IN (SELECT record_set FROM repos)"),
        sql!("SELECT count(*) FROM backlinks WHERE record_set NOT IN (SELECT record_set FROM repos)"),
        sql!("SELECT count(*) FROM record_blobs WHERE record_set NOT IN (SELECT record_set FROM repos)"),
    ] {
        assert_eq!(count(pds, orphans).await, 0);
    }
    assert_eq!(nobodys_sets(pds).await, 0);
}

/// Checks that the commit is ours: of this account, by the key that is kept here, later than `rev`.
async fn check_commit(pds: &TestPds, did: &Did, commit: &SignedCommit, rev: &Tid) {
    let key = allod_store::tables::signing_keys::by_did(&*pds.app().db, did).await.unwrap().unwrap();
    commit.verify(&key.did_key).unwrap();
    assert_eq!((&commit.commit().did, commit.commit().prev), (did, None));
    assert!(commit.commit().rev > *rev);
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn only_the_accounts_own_password_replaces_a_repository() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for privileged in [false, true] {
        let password = pds.app_password(&alice, &privileged.to_string(), privileged).await;
        let app = pds.sign_in_with("alice", &password).await;
        let refused = refusal(400, "InvalidToken", "Bad token scope");
        assert_eq!(import(&pds, &app.access, "no CAR file").error().await, refused);
    }
}
