//! One client: it writes to records of its own, one request after another, and knows what was acknowledged.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use allod_atproto::{Cid, Did, cbor, json as data};
use bytes::Bytes;
use serde_json::{Value, json};

use crate::rng::Rng;

/// A client's records by path.
pub(crate) type Records = BTreeMap<String, Cid>;

/// How many keys of its own choice a client uses in each repository.
const KEYS: u64 = 10;
/// How many records under keys of the server's choice a client leaves in each repository.
const APPENDED_MAX: usize = 8;
const BATCH_WRITES_MAX: u64 = 20;
/// How many keys of each client hold records with a blob.
const PICTURES: u64 = 3;
const BLOB_BYTES_MAX: u64 = 40_000;
/// How many blobs that were there before are looked at again after a crash.
const OLD_BLOBS_CHECKED: usize = 3;

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

    /// Sends bytes to a method; none when the server has gone away.
    pub(crate) async fn send(
        &self,
        http: &reqwest::Client,
        origin: &str,
        method: &str,
        content_type: &str,
        body: Bytes,
    ) -> Option<String> {
        let url = format!("{origin}/xrpc/com.atproto.repo.{method}");
        let request = http.post(url).bearer_auth(&self.access).header("content-type", content_type).body(body);
        let response = request.send().await.ok()?;
        let status = response.status();
        let text = response.text().await.ok()?;
        assert_eq!(status, 200, "{method}: {text}");
        Some(text)
    }

    /// Calls a writing method; none when the server has gone away.
    pub(crate) async fn write(
        &self,
        http: &reqwest::Client,
        origin: &str,
        method: &str,
        mut body: Value,
    ) -> Option<Value> {
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
    /// For each account a blob that was taken and that no record refers to yet.
    uploaded: Vec<Option<Value>>,
    /// Records that refer to a blob, and to which.
    pictures: HashMap<Cid, Cid>,
    /// Those of them that are new since the last crash.
    new_pictures: HashSet<Cid>,
    /// Makes every value another one.
    values: u64,
    rng: Rng,
    http: reqwest::Client,
}

impl Client {
    pub(crate) fn new(number: u64, accounts: Vec<Arc<Account>>, rng: Rng, http: reqwest::Client) -> Self {
        let own = accounts.iter().map(|_| Own::default()).collect();
        let collection = format!("com.example.c{number}");
        let uploaded = accounts.iter().map(|_| None).collect();
        let (acks, pictures, new_pictures) = (Vec::new(), HashMap::new(), HashSet::new());
        Self { collection, accounts, own, acks, uploaded, pictures, new_pictures, values: 0, rng, http }
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
        let account = Arc::clone(&self.accounts[at]);
        if self.uploaded[at].is_none() && self.rng.below(8) == 0 {
            let bytes = self.bytes();
            let expected = Cid::for_raw(&bytes).to_string();
            let answer = account.send(&self.http, origin, "uploadBlob", "application/octet-stream", bytes).await?;
            let blob = serde_json::from_str::<Value>(&answer).unwrap()["blob"].take();
            assert_eq!(blob["ref"]["$link"], expected);
            self.uploaded[at] = Some(blob);
            return Some(());
        }
        let (method, body, pending) = self.draw(at);
        self.own[at].pending = Some(pending);
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
        // Also one that was taken before a crash.
        if self.uploaded[at].is_some() && self.rng.below(2) == 0 {
            let blob = self.uploaded[at].take().unwrap();
            let key = format!("p{}", self.rng.below(PICTURES));
            let (mut record, _) = self.record();
            record["picture"] = blob;
            let cid = cid_of(&record);
            self.pictures.insert(cid, Cid::parse(record["picture"]["ref"]["$link"].as_str().unwrap()).unwrap());
            self.new_pictures.insert(cid);
            records.insert(format!("{collection}/{key}"), cid);
            let body = json!({ "collection": collection, "rkey": key, "record": record });
            return ("putRecord", body, Pending::Leaves(records));
        }
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
        let cid = cid_of(&record);
        (record, cid)
    }

    /// Bytes unlike all others.
    fn bytes(&mut self) -> Bytes {
        let len = 16 + self.rng.below(BLOB_BYTES_MAX);
        (0..len).map(|_| self.rng.next().to_le_bytes()[0]).collect()
    }

    /// Checks that the blobs of records in a repository can be had: those that are new, and some of the others.
    pub(crate) async fn check_blobs(&mut self, origin: &str, did: &Did, told: &str) -> u64 {
        let at = self.accounts.iter().position(|account| account.did == *did).unwrap();
        let (mut old, mut checked) = (0, 0);
        for record in self.own[at].records.values() {
            let Some(blob) = self.pictures.get(record) else { continue };
            let is_new = self.new_pictures.contains(record);
            old += usize::from(!is_new);
            if !is_new && old > OLD_BLOBS_CHECKED {
                continue;
            }
            let url = format!("{origin}/xrpc/com.atproto.sync.getBlob?did={did}&cid={blob}");
            let response = self.http.get(url).send().await.unwrap();
            assert_eq!(response.status(), 200, "{told}: the blob {blob} of {did} is gone");
            assert_eq!(Cid::for_raw(&response.bytes().await.unwrap()), *blob, "{told}");
            checked += 1;
        }
        checked
    }

    /// Counts no blob as new any more.
    pub(crate) fn forget_new(&mut self) {
        self.new_pictures.clear();
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

fn cid_of(record: &Value) -> Cid {
    Cid::for_cbor(&cbor::encode(&data::to_value(record).unwrap()))
}

fn key_of(path: &str) -> &str {
    path.rsplit_once('/').unwrap().1
}
