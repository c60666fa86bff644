//! One client: it writes to records of its own, one request after another, and knows what was acknowledged.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use allod_atproto::{Cid, Did, cbor, json as data};
use serde_json::{Value, json};

use crate::rng::Rng;

/// A client's records by path.
pub(crate) type Records = BTreeMap<String, Cid>;

/// How many keys of its own choice a client uses in each repository.
const KEYS: u64 = 10;
/// How many records under keys of the server's choice a client leaves in each repository.
const APPENDED_MAX: usize = 8;
const BATCH_WRITES_MAX: u64 = 20;

/// Somebody whose repository is written to.
pub(crate) struct Account {
    pub(crate) did: Did,
    access: String,
}

impl Account {
    pub(crate) async fn create(http: &reqwest::Client, origin: &str, handle: &str) -> Self {
        let body = json!({ "handle": handle, "email": format!("{handle}@mail.test"), "password": "correct-horse" });
        let url = format!("{origin}/xrpc/com.atproto.server.createAccount");
        let response = http.post(url).json(&body).send().await.unwrap();
        let (status, text) = (response.status(), response.text().await.unwrap());
        assert_eq!(status, 200, "{text}");
        let created: Value = serde_json::from_str(&text).unwrap();
        let text = |name: &str| created[name].as_str().unwrap().to_owned();
        Self { did: Did::parse(&text("did")).unwrap(), access: text("accessJwt") }
    }

    /// Calls a writing method; none when the server has gone away.
    async fn write(&self, http: &reqwest::Client, origin: &str, method: &str, mut body: Value) -> Option<Value> {
        body["repo"] = json!(self.did);
        let url = format!("{origin}/xrpc/com.atproto.repo.{method}");
        let response = http.post(url).bearer_auth(&self.access).json(&body).send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        assert_eq!(status, 200, "{method} {body}: {text}");
        Some(serde_json::from_str(&text).unwrap())
    }
}

/// Writes a record that nobody looks for, and gives its commit.
pub(crate) async fn mark(http: &reqwest::Client, origin: &str, account: &Account, cycle: u64) -> Cid {
    let body = json!({ "collection": "com.example.mark", "rkey": "mark", "record": { "cycle": cycle } });
    let answer = account.write(http, origin, "putRecord", body).await.unwrap();
    Cid::parse(answer["commit"]["cid"].as_str().unwrap()).unwrap()
}

/// A write that was sent and not answered.
enum Pending {
    /// Carried out, it leaves this.
    Leaves(Records),
    /// Carried out, it leaves this record under a key of the server's choice.
    Appends(Cid),
}

/// What a client knows of its records in one repository.
#[derive(Default)]
struct Own {
    records: Records,
    pending: Option<Pending>,
}

pub(crate) struct Client {
    collection: String,
    accounts: Vec<Arc<Account>>,
    own: Vec<Own>,
    /// Commits that were answered with, by account.
    acks: Vec<(Did, Cid)>,
    /// Makes every value another one.
    values: u64,
    rng: Rng,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(number: u64, accounts: Vec<Arc<Account>>, rng: Rng, http: reqwest::Client) -> Self {
        let own = accounts.iter().map(|_| Own::default()).collect();
        let collection = format!("com.example.c{number}");
        Self { collection, accounts, own, acks: Vec::new(), values: 0, rng, http }
    }

    /// Writes until there is no answer any more.
    pub(crate) async fn write_until_gone(&mut self, origin: &str, acks: &AtomicU64) {
        while self.write(origin).await.is_some() {
            acks.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Gives the commits that were answered with since the last time.
    pub(crate) fn take_acks(&mut self) -> Vec<(Did, Cid)> {
        std::mem::take(&mut self.acks)
    }

    async fn write(&mut self, origin: &str) -> Option<()> {
        let at = usize::try_from(self.rng.below(self.accounts.len() as u64)).unwrap();
        let (method, body, pending) = self.draw(at);
        self.own[at].pending = Some(pending);
        let account = Arc::clone(&self.accounts[at]);
        let answer = account.write(&self.http, origin, method, body).await?;
        let own = &mut self.own[at];
        match own.pending.take() {
            Some(Pending::Leaves(records)) => own.records = records,
            Some(Pending::Appends(cid)) => {
                let uri = answer["uri"].as_str().unwrap();
                let path = uri.strip_prefix(&format!("at://{}/", account.did)).unwrap();
                assert_eq!(answer["cid"], cid.to_string());
                assert_eq!(own.records.insert(path.to_owned(), cid), None, "a key was given twice");
            }
            None => {}
        }
        if let Some(commit) = answer["commit"]["cid"].as_str() {
            self.acks.push((account.did.clone(), Cid::parse(commit).unwrap()));
        }
        Some(())
    }

    /// Thinks of a write: method, body, and what it leaves.
    fn draw(&mut self, at: usize) -> (&'static str, Value, Pending) {
        let collection = self.collection.clone();
        let appended = self.own[at].records.keys().filter(|path| key_of(path).len() == 13).cloned();
        let appended: Vec<String> = appended.collect();
        let mut records = self.own[at].records.clone();
        match self.rng.below(10) {
            0..=3 if appended.len() < APPENDED_MAX => {
                let (record, cid) = self.record();
                ("createRecord", json!({ "collection": collection, "record": record }), Pending::Appends(cid))
            }
            0..=3 => {
                let path = &appended[usize::try_from(self.rng.below(appended.len() as u64)).unwrap()];
                records.remove(path);
                let body = json!({ "collection": collection, "rkey": key_of(path) });
                ("deleteRecord", body, Pending::Leaves(records))
            }
            4 | 5 => {
                let key = format!("k{}", self.rng.below(KEYS));
                let (record, cid) = self.record();
                records.insert(format!("{collection}/{key}"), cid);
                let body = json!({ "collection": collection, "rkey": key, "record": record });
                ("putRecord", body, Pending::Leaves(records))
            }
            6 => {
                let key = format!("k{}", self.rng.below(KEYS));
                records.remove(&format!("{collection}/{key}"));
                ("deleteRecord", json!({ "collection": collection, "rkey": key }), Pending::Leaves(records))
            }
            _ => {
                let writes: Vec<Value> =
                    (0..=self.rng.below(BATCH_WRITES_MAX)).map(|_| self.batched(&mut records)).collect();
                ("applyWrites", json!({ "writes": writes }), Pending::Leaves(records))
            }
        }
    }

    /// Thinks of one write of a batch and carries it out on `records`.
    fn batched(&mut self, records: &mut Records) -> Value {
        let key = format!("k{}", self.rng.below(KEYS));
        let path = format!("{}/{key}", self.collection);
        let is_there = records.contains_key(&path);
        let name = match (is_there, self.rng.below(2)) {
            (false, _) => "create",
            (true, 0) => "update",
            (true, _) => "delete",
        };
        let mut write = json!({
            "$type": format!("com.atproto.repo.applyWrites#{name}"), "collection": self.collection, "rkey": key,
        });
        if name == "delete" {
            records.remove(&path);
        } else {
            let (record, cid) = self.record();
            records.insert(path, cid);
            write["value"] = record;
        }
        write
    }

    /// A record unlike every other, and its CID.
    fn record(&mut self) -> (Value, Cid) {
        self.values += 1;
        let filling = "x".repeat(usize::try_from(self.rng.below(300)).unwrap());
        let record = json!({ "$type": self.collection, "n": self.values, "filling": filling });
        let cid = Cid::for_cbor(&cbor::encode(&data::to_value(&record).unwrap()));
        (record, cid)
    }

    /// Holds what a repository has after a crash against what was acknowledged. Tells whether a write was in flight,
    /// and if so whether it was carried out.
    pub(crate) fn settle(&mut self, did: &Did, all: &Records, told: &str) -> Option<bool> {
        let at = self.accounts.iter().position(|account| account.did == *did).unwrap();
        let prefix = format!("{}/", self.collection);
        let found: Records =
            all.iter().filter(|(path, _)| path.starts_with(&prefix)).map(|(path, cid)| (path.clone(), *cid)).collect();
        let own = &mut self.own[at];
        let pending = own.pending.take();
        let was_pending = pending.is_some();
        let carried_out = found != own.records;
        if carried_out {
            let fits = match &pending {
                None => false,
                Some(Pending::Leaves(records)) => found == *records,
                Some(Pending::Appends(cid)) => {
                    let mut appended = found.iter().filter(|(path, _)| !own.records.contains_key(*path));
                    let one = appended.next().is_some_and(|(_, found)| found == cid) && appended.next().is_none();
                    one && own.records.iter().all(|(path, cid)| found.get(path) == Some(cid))
                }
            };
            assert!(fits, "{told}: {} of {did}\nacknowledged {:#?}\nfound {found:#?}", self.collection, own.records);
            own.records = found;
        }
        was_pending.then_some(carried_out)
    }
}

fn key_of(path: &str) -> &str {
    path.rsplit_once('/').unwrap().1
}
