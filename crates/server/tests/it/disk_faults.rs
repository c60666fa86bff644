//! The disk under the store fills up, breaks, or loses its syncs, while several people write: nobody is told of a write
//! that is not there, nobody is told that the server has a bug, and reads go on.

use std::sync::atomic::{AtomicU64, Ordering};

use allod_sqlite_recorder::{self as disk, Call, Failure, FileKind, Recorder};
use allod_store::Txn;
use allod_testkit::{Actor, TestPds, read_json};
use futures_util::future::join_all;
use serde_json::{Value, json};

use crate::{elsewhere::CREATE_ACCOUNT, seen};

const NOTES: &str = "com.example.note";
const CREATE: &str = "com.atproto.repo.createRecord";
/// How many people write at once.
const PEOPLE: usize = 3;
/// How many writes each of them has under way at once.
const WRITES_AT_ONCE: usize = 4;

/// A server on a disk of its own that does as it is told.
struct Site {
    pds: TestPds,
    disk: &'static Recorder,
    people: Vec<Actor>,
    /// The keys of each person's records that were acknowledged.
    acknowledged: Vec<Vec<String>>,
    keys: u64,
}

impl Site {
    async fn start() -> Self {
        static DISKS: AtomicU64 = AtomicU64::new(0);
        let name: &'static str = format!("faulty-{}", DISKS.fetch_add(1, Ordering::Relaxed)).leak();
        let disk = Recorder::register(name);
        let pds = TestPds::options().store(move |options| options.through_vfs(name)).start().await;
        let mut people = Vec::new();
        for n in 0..PEOPLE {
            people.push(pds.account(&format!("person{n}")).await);
        }
        let mut site = Self { pds, disk, people, acknowledged: vec![Vec::new(); PEOPLE], keys: 0 };
        assert_eq!(site.everybody_writes().await, 0);
        site
    }

    fn fail(&self, call: Call, kind: FileKind, after: u64, times: u64, code: i32) {
        self.disk.fail(Failure { call, kind, after, times, code });
    }

    /// Lets everybody write several records at once. Tells how many writes were refused; each refusal says to come back.
    async fn everybody_writes(&mut self) -> usize {
        let mut calls = Vec::new();
        for (at, person) in self.people.iter().enumerate() {
            for _ in 0..WRITES_AT_ONCE {
                self.keys += 1;
                let key = format!("k{:06}", self.keys);
                let body = json!({
                    "repo": person.did, "collection": NOTES, "rkey": key,
                    "record": { "n": self.keys, "filling": "x".repeat(3000) },
                });
                let call = self.pds.xrpc_post(CREATE).bearer(&person.access).json(&body);
                calls.push(async move { (at, key, call.send().await) });
            }
        }
        let mut refused = 0;
        for (at, key, reply) in join_all(calls).await {
            if reply.status == 200 {
                self.acknowledged[at].push(key);
            } else {
                seen::told_to_come_back(&reply);
                refused += 1;
            }
        }
        refused
    }

    /// Reads everybody's records in every way there is; all must be readable and everything acknowledged there.
    async fn everything_is_there(&self) {
        for (person, acknowledged) in self.people.iter().zip(&self.acknowledged) {
            let mut found = Vec::new();
            let mut cursor = None::<String>;
            loop {
                let call = self.pds.xrpc_get("com.atproto.repo.listRecords").param("repo", &person.did);
                let call = call.param("collection", NOTES).param("limit", 100);
                let call = if let Some(cursor) = &cursor { call.param("cursor", cursor) } else { call };
                let page = call.ok().await;
                let key = |record: &Value| record["uri"].as_str().unwrap().rsplit_once('/').unwrap().1.to_owned();
                found.extend(page["records"].as_array().unwrap().iter().map(key));
                cursor = page["cursor"].as_str().map(str::to_owned);
                if cursor.is_none() {
                    break;
                }
            }
            let lost: Vec<_> = acknowledged.iter().filter(|key| !found.contains(key)).collect();
            assert!(lost.is_empty(), "acknowledged and lost: {lost:?}");
            let call = self.pds.xrpc_get("com.atproto.server.getSession").bearer(&person.access);
            assert_eq!(call.ok().await["did"], person.did.as_str());
            let repo = self.pds.xrpc_get("com.atproto.sync.getRepo").param("did", &person.did).send().await;
            assert_eq!(repo.status.as_u16(), 200);
        }
        // The stream tells as much as was ever acknowledged.
        let newest = *self.pds.app().db.watch().borrow();
        let mut stream = self.pds.subscribe(Some(0)).await;
        assert_eq!(stream.seqs(usize::try_from(newest).unwrap()).await.last(), Some(&newest));
    }

    /// Nobody can write, sign in or sign up, and everybody is told to come back.
    async fn writes_are_refused(&mut self) {
        assert_eq!(self.everybody_writes().await, PEOPLE * WRITES_AT_ONCE);
        let login = json!({ "identifier": self.people[0].handle, "password": self.people[0].password });
        let reply = self.pds.xrpc_post("com.atproto.server.createSession").json(&login).send().await;
        seen::told_to_come_back(&reply);
        let body = json!({ "handle": "late.test", "email": "late@mail.test", "password": "correct horse" });
        seen::told_to_come_back(&self.pds.xrpc_post(CREATE_ACCOUNT).json(&body).send().await);
    }

    /// The store must have been given up, and say so.
    async fn gave_up(&self) {
        let refused = self.pds.app().db.commit(Txn::new()).await.unwrap_err();
        assert!(refused.to_string().contains("restart required"), "{refused}");
        let (status, body) = self.health().await;
        assert_eq!((status, &body["reason"]), (503, &json!("The store takes no writes until the server is restarted")));
    }

    async fn health(&self) -> (u16, Value) {
        let url = format!("{}/xrpc/_health", self.pds.url());
        let answer = self.pds.client().get(url).send().await.unwrap();
        (answer.status().as_u16(), read_json(answer.bytes().await.unwrap()))
    }

    /// After opening it again all is well.
    async fn opened_again(&mut self) {
        self.disk.heal();
        self.pds.restart().await;
        let _ = self.pds.logged_errors();
        self.everything_is_there().await;
        assert_eq!(self.everybody_writes().await, 0);
        self.everything_is_there().await;
    }
}

#[tokio::test]
async fn a_full_disk_refuses_writes_and_they_go_on_when_there_is_room() {
    let mut site = Site::start().await;
    let mut refused = 0;
    for after in 0..12 {
        site.fail(Call::Write, FileKind::Wal, after, u64::MAX, disk::FULL);
        refused += site.everybody_writes().await;
        site.everything_is_there().await;
        site.writes_are_refused().await;
        site.everything_is_there().await;
        site.disk.heal();
        assert_eq!(site.everybody_writes().await, 0, "there is room again");
    }
    assert!(refused > 12);
    site.everything_is_there().await;
    assert!(site.pds.logged_errors().is_empty());
}

#[tokio::test]
async fn a_write_that_fails_stops_all_writes_until_opened_again() {
    let mut site = Site::start().await;
    for after in [0, 1, 4, 9] {
        site.fail(Call::Write, FileKind::Wal, after, 1, disk::IO_WRITE);
        while site.everybody_writes().await == 0 {}
        // The disk is well again, and still nothing may be written.
        site.writes_are_refused().await;
        site.everything_is_there().await;
        site.gave_up().await;
        site.opened_again().await;
    }
}

#[tokio::test]
async fn a_sync_that_fails_stops_all_writes_until_opened_again() {
    let mut site = Site::start().await;
    for after in [0, 1, 2] {
        site.fail(Call::Sync, FileKind::Wal, after, 1, disk::IO_SYNC);
        while site.everybody_writes().await == 0 {}
        site.writes_are_refused().await;
        site.everything_is_there().await;
        site.gave_up().await;
        site.opened_again().await;
    }
}

#[tokio::test]
async fn a_read_that_fails_is_told_and_stops_nothing_else() {
    let mut site = Site::start().await;
    for after in [0, 3, 8] {
        // Nothing is in memory then, and everything in the main file.
        site.pds.restart().await;
        site.fail(Call::Read, FileKind::Main, after, u64::MAX, disk::IO_READ);
        let mut refused = 0;
        for person in &site.people {
            for _ in 0..3 {
                let call = site.pds.xrpc_get("com.atproto.repo.listRecords").param("repo", &person.did);
                let reply = call.param("collection", NOTES).send().await;
                if reply.status != 200 {
                    seen::told_to_come_back(&reply);
                    refused += 1;
                }
            }
        }
        assert!(refused > 0, "no read failed");
        site.disk.heal();
        let _ = site.pds.logged_errors();
        let state = site.pds.app().db.state();
        assert!(!state.damages.is_empty(), "it is listed");
        if state.failed.is_some() {
            // A job has written meanwhile, and the writer has met it too.
            site.gave_up().await;
            site.opened_again().await;
        }
        assert_eq!(site.everybody_writes().await, 0, "a reader's error is no reason to stop writing");
        site.everything_is_there().await;
        assert_eq!(site.health().await.0, 200);
    }
}
