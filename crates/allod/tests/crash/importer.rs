//! Somebody who imports one of two repositories of theirs, over and over: after a crash they have the one or the other.

use std::sync::Arc;

use allod_atproto::{
    Did,
    car::{self, Limits},
    repo::{SignedCommit, Tree},
};
use bytes::Bytes;
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::client::{Account, Records};

/// How many records the first repository has; the second lacks some of them and has others.
const RECORDS: u64 = 300;
const WRITES_PER_CALL: u64 = 100;

/// A repository as a file, and its records.
struct Made {
    file: Bytes,
    records: Records,
}

pub(crate) struct Importer {
    account: Arc<Account>,
    made: Arc<[Made; 2]>,
    /// The one that was imported last as far as is known.
    known: usize,
    under_way: Option<JoinHandle<Known>>,
    http: reqwest::Client,
}

/// What an importer knows when the server is gone.
struct Known {
    last: usize,
    pending: usize,
    imports: u64,
}

impl Importer {
    pub(crate) async fn new(http: reqwest::Client, origin: &str) -> Self {
        let account = Account::create(&http, origin, "importer.test").await;
        let write = async |kind: &str, from: u64, to: u64| {
            let keys: Vec<u64> = (from..to).collect();
            for keys in keys.chunks(usize::try_from(WRITES_PER_CALL).unwrap()) {
                let writes: Vec<Value> = keys
                    .iter()
                    .map(|n| {
                        let mut write = json!({
                            "$type": format!("com.atproto.repo.applyWrites#{kind}"),
                            "collection": "com.example.imported", "rkey": format!("k{n:05}"),
                        });
                        if kind == "create" {
                            write["value"] = json!({ "n": n });
                        }
                        write
                    })
                    .collect();
                account.write(&http, origin, "applyWrites", json!({ "writes": writes })).await.unwrap();
            }
        };
        write("create", 0, RECORDS).await;
        let first = Made::fetch(&http, origin, &account.did).await;
        write("delete", 0, RECORDS / 2).await;
        write("create", RECORDS, RECORDS + 50).await;
        let second = Made::fetch(&http, origin, &account.did).await;
        Self { account: Arc::new(account), made: Arc::new([first, second]), known: 1, under_way: None, http }
    }

    pub(crate) fn account(&self) -> Arc<Account> {
        Arc::clone(&self.account)
    }

    pub(crate) fn did(&self) -> &Did {
        &self.account.did
    }

    /// Begins to import the one and the other until the server is gone.
    pub(crate) fn begin(&mut self, origin: &str) {
        let (http, origin) = (self.http.clone(), origin.to_owned());
        let (account, made, mut last) = (Arc::clone(&self.account), Arc::clone(&self.made), self.known);
        self.under_way = Some(tokio::spawn(async move {
            let mut imports = 0;
            loop {
                let pending = 1 - last;
                let file = made[pending].file.clone();
                if account.send(&http, &origin, "importRepo", "application/vnd.ipld.car", file).await.is_none() {
                    return Known { last, pending, imports };
                }
                (last, imports) = (pending, imports + 1);
            }
        }));
    }

    /// Checks that the account has the repository imported last, or the one that was being imported. Tells how many
    /// imports were acknowledged.
    pub(crate) async fn settle(&mut self, found: &Records, told: &str) -> u64 {
        let known = match self.under_way.take() {
            Some(under_way) => under_way.await.unwrap(),
            None => Known { last: self.known, pending: self.known, imports: 0 },
        };
        let at = [known.last, known.pending].into_iter().find(|at| self.made[*at].records == *found);
        let Some(at) = at else {
            panic!("{told}: {} records of the importer, neither {} nor {}", found.len(), known.last, known.pending)
        };
        self.known = at;
        known.imports
    }
}

impl Made {
    async fn fetch(http: &reqwest::Client, origin: &str, did: &Did) -> Self {
        let url = format!("{origin}/xrpc/com.atproto.sync.getRepo?did={did}");
        let file = http.get(url).send().await.unwrap().bytes().await.unwrap();
        let blocks = car::read(&file, &Limits::REPOSITORY).unwrap();
        let commit = SignedCommit::parse(blocks.get(&blocks.root().unwrap()).unwrap()).unwrap();
        let tree = Tree::from_blocks(&commit.commit().data, |cid| blocks.get(cid)).unwrap();
        let records = tree.entries().map(|(path, cid)| (path.to_string(), cid)).collect();
        Self { file: file.clone(), records }
    }
}
