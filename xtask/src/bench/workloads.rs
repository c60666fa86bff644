//! The single workloads: what is sent, by how many clients, to how many accounts.

use std::time::Duration;

use serde_json::{Map, Value, json};

use super::accounts::{self, Account, FILL_WRITES};
use super::load::{self, Load, Measured, Until};
use super::request::{COLLECTION, Request, jpeg};
use super::subject::Subject;
use super::{BenchError, rounded};
use crate::http::{self, Connection};

/// Clients that write at once.
pub(super) const WRITERS: usize = 64;
/// Clients that read at once.
const READERS: usize = 16;
/// Clients that write many records at once.
const BATCH_WRITERS: usize = 4;
/// Clients, accounts and blobs of the blob workloads.
const BLOB_CLIENTS: usize = 8;
const BLOBS: usize = 16;
/// How many blobs are uploaded: by number and not by time, since each stays on the server's disk.
const UPLOADS: usize = 400;
/// The size of a blob, in bytes.
const BLOB_BYTES: usize = 1_000_000;
/// How many different records are read.
const RECORDS_READ: usize = 2000;
/// A page of records.
const PAGE_RECORDS: usize = 100;
/// How many getRepo calls make a figure.
const EXPORTS: usize = 8;

/// A server with accounts.
pub(super) struct Ground {
    pub(super) subject: Subject,
    pub(super) accounts: Vec<Account>,
    authority: String,
    time: Duration,
    /// Clients asked for in place of a workload's own number.
    clients: Option<usize>,
}

impl Ground {
    /// Signs the accounts up.
    pub(super) fn prepare(
        subject: Subject,
        accounts: usize,
        time: Duration,
        clients: Option<usize>,
    ) -> Result<Self, BenchError> {
        crate::say(&format!("signing {accounts} accounts up"));
        let accounts = accounts::sign_up(&subject, accounts)?;
        let authority = http::authority(&subject.url)?;
        Ok(Self { subject, accounts, authority, time, clients })
    }

    /// One more account, with so many records.
    pub(super) fn filled(&self, records: usize) -> Result<Account, BenchError> {
        crate::say(&format!("filling a repository with {records} records"));
        let account = accounts::sign_up(&self.subject, 1)?.pop().ok_or(BenchError::Usage("no account was made"))?;
        accounts::fill(&self.subject, &account, records)?;
        Ok(account)
    }

    /// A load for so long by so many clients, unless others were asked for.
    pub(super) fn load(&self, clients: usize) -> Load {
        Load { clients: self.clients.unwrap_or(clients), until: Until::Time(self.time), apart: false }
    }

    /// One createRecord for each account.
    pub(super) fn creates(&self) -> Vec<Request> {
        let create = |account: &Account| Request::create_record(&self.authority, &account.did, &account.token);
        self.accounts.iter().map(create).collect()
    }

    fn measure(&self, load: &Load, requests: &[Request]) -> Result<Map<String, Value>, BenchError> {
        Ok(self.run(load, requests)?.figures(load))
    }

    fn run(&self, load: &Load, requests: &[Request]) -> Result<Measured, BenchError> {
        load::run(&self.subject, load, requests, || {})
    }

    /// createRecord over all accounts.
    pub(super) fn create_record(&self) -> Result<Map<String, Value>, BenchError> {
        self.measure(&self.load(WRITERS), &self.creates())
    }

    /// createRecord by one client for one account: its latency.
    pub(super) fn create_record_one(&self) -> Result<Map<String, Value>, BenchError> {
        let mut requests = self.creates();
        requests.truncate(1);
        self.measure(&Load { clients: 1, ..self.load(1) }, &requests)
    }

    /// applyWrites of 200 creates over all accounts.
    pub(super) fn apply_writes(&self) -> Result<Map<String, Value>, BenchError> {
        let write =
            |account: &Account| Request::apply_writes(&self.authority, &account.did, &account.token, FILL_WRITES);
        let requests: Vec<_> = self.accounts.iter().map(write).collect();
        let load = self.load(BATCH_WRITERS);
        let measured = self.run(&load, &requests)?;
        let mut figures = measured.figures(&load);
        let records = load::count(FILL_WRITES);
        figures.insert("records_per_second".to_owned(), rounded(measured.per_second() * records));
        figures.insert("server_cpu_us_per_record".to_owned(), rounded(measured.server_cpu_micros() / records));
        Ok(figures)
    }

    /// getRecord of random records of a filled account.
    pub(super) fn get_record(&self, account: &Account) -> Result<Map<String, Value>, BenchError> {
        let mut keys = accounts::keys(&self.subject, account, RECORDS_READ)?;
        // Any order that is not the tree's own will do.
        keys.sort_by_cached_key(|key| key.bytes().rev().collect::<Vec<u8>>());
        let path = |key: String| {
            let did = &account.did;
            format!("/xrpc/com.atproto.repo.getRecord?repo={did}&collection={COLLECTION}&rkey={key}")
        };
        let requests: Vec<_> = keys.into_iter().map(|key| Request::get(&self.authority, &path(key), None)).collect();
        self.measure(&self.load(READERS), &requests)
    }

    /// listRecords of 100, the newest of a filled account.
    pub(super) fn list_records(&self, account: &Account) -> Result<Map<String, Value>, BenchError> {
        let path = "/xrpc/com.atproto.repo.listRecords";
        let path = format!("{path}?repo={}&collection={COLLECTION}&limit={PAGE_RECORDS}", account.did);
        self.measure(&self.load(READERS), &[Request::get(&self.authority, &path, None)])
    }

    /// getRepo of a filled account, one after the other.
    pub(super) fn get_repo(&self, account: &Account) -> Result<Map<String, Value>, BenchError> {
        let path = format!("/xrpc/com.atproto.sync.getRepo?did={}", account.did);
        let load = Load { until: Until::Requests(EXPORTS), ..self.load(1) };
        self.measure(&load, &[Request::get(&self.authority, &path, None)])
    }

    /// getSession over all accounts.
    pub(super) fn get_session(&self) -> Result<Map<String, Value>, BenchError> {
        let path = "/xrpc/com.atproto.server.getSession";
        let get = |account: &Account| Request::get(&self.authority, path, Some(&account.token));
        let requests: Vec<_> = self.accounts.iter().map(get).collect();
        self.measure(&self.load(READERS), &requests)
    }

    /// uploadBlob of 1 MB, every one different.
    pub(super) fn upload_blob(&self) -> Result<Map<String, Value>, BenchError> {
        let blob = jpeg(BLOB_BYTES, super::seed());
        let upload = |account: &Account| Request::upload_blob(&self.authority, &account.token, &blob);
        let requests: Vec<_> = self.accounts.iter().take(BLOB_CLIENTS).map(upload).collect();
        self.measure(&Load { until: Until::Requests(UPLOADS), ..self.load(BLOB_CLIENTS) }, &requests)
    }

    /// getBlob of 1 MB, of blobs that posts show.
    pub(super) fn get_blob(&self) -> Result<Map<String, Value>, BenchError> {
        let (blob, mut connection) = (jpeg(BLOB_BYTES, super::seed()), Connection::open(&self.subject.url)?);
        let (mut buffer, mut requests) = (Vec::new(), Vec::new());
        for (number, account) in (0..BLOBS as u64).zip(self.accounts.iter().cycle()) {
            let Account { did, token } = account;
            Request::upload_blob(&self.authority, token, &blob).write(number, &mut buffer);
            let uploaded = accounts::accepted(&connection.keep(&buffer)?)?;
            let post = json!({
                "repo": did,
                "collection": COLLECTION,
                "record": {
                    "$type": COLLECTION,
                    "text": "a picture",
                    "createdAt": "2026-11-25T09:00:00.000Z",
                    "embed": {
                        "$type": "app.bsky.embed.images",
                        "images": [{ "alt": "", "image": uploaded.get("blob") }],
                    },
                },
            });
            Request::json(&self.authority, "com.atproto.repo.createRecord", token, &post).write(0, &mut buffer);
            accounts::accepted(&connection.keep(&buffer)?)?;
            let cid = uploaded.pointer("/blob/ref/$link").and_then(Value::as_str).unwrap_or_default();
            let path = format!("/xrpc/com.atproto.sync.getBlob?did={did}&cid={cid}");
            requests.push(Request::get(&self.authority, &path, None));
        }
        self.measure(&self.load(BLOB_CLIENTS), &requests)
    }
}
