//! Who reads the firehose through every crash, and holds it against what was seen before and against the repositories.

use std::collections::{HashMap, HashSet};

use allod_atproto::{
    Cid, Did,
    car::{self, Limits},
    crypto::DidKey,
    did_doc::DidDocument,
    frame::{self, Message},
    repo::{SignedCommit, Tree},
};
use allod_testkit::{Consumer, Stream, Told};
use bytes::Bytes;
use tokio::task::JoinHandle;

use crate::client::Records;

/// How many events before the newest one seen are read again.
const SEEN_AGAIN: i64 = 100;

/// Reads the stream until the server is gone.
pub(crate) struct Tail(JoinHandle<Vec<Bytes>>);

impl Tail {
    pub(crate) async fn open(origin: &str, cursor: i64) -> Self {
        let mut stream = open(origin, cursor).await;
        Self(tokio::spawn(async move {
            let mut frames = Vec::new();
            while let Told::Binary(bytes) = stream.next().await {
                frames.push(bytes);
            }
            frames
        }))
    }

    pub(crate) async fn end(self) -> Vec<Bytes> {
        self.0.await.unwrap()
    }
}

async fn open(origin: &str, cursor: i64) -> Stream {
    let url = origin.replace("http://", "ws://");
    let url = format!("{url}/xrpc/com.atproto.sync.subscribeRepos?cursor={cursor}");
    Stream::open(&url, &[]).await.unwrap()
}

pub(crate) struct Witness {
    consumer: Consumer,
    directory: String,
    keys: HashMap<Did, DidKey>,
    /// Every event seen, by its number: what it was.
    seen: HashMap<i64, Cid>,
    /// The commits told of since the last crash.
    commits: HashSet<(Did, Cid)>,
    http: reqwest::Client,
}

impl Witness {
    pub(crate) fn new(directory: String, http: reqwest::Client) -> Self {
        Self {
            consumer: Consumer::default(),
            directory,
            keys: HashMap::new(),
            seen: HashMap::new(),
            commits: HashSet::new(),
            http,
        }
    }

    /// The newest event seen.
    pub(crate) fn seq(&self) -> i64 {
        self.consumer.seq()
    }

    /// Takes what was seen before a crash.
    pub(crate) async fn take_tail(&mut self, frames: Vec<Bytes>, told: &str) {
        for bytes in frames {
            self.take(&bytes, told).await;
        }
    }

    /// Reads on after a crash, up to the commit named; what was seen before must come again as it was.
    pub(crate) async fn catch_up(&mut self, origin: &str, marker: Cid, told: &str) {
        let before = self.seq();
        let mut stream = open(origin, (before - SEEN_AGAIN).max(0)).await;
        let mut expected = (before - SEEN_AGAIN).max(0);
        loop {
            let Told::Binary(bytes) = stream.next().await else { panic!("{told}: the stream ended") };
            let frame = frame::decode(&bytes).unwrap();
            expected += 1;
            assert_eq!(frame.seq, Some(expected), "{told}: a gap");
            if expected > before {
                self.take(&bytes, told).await;
            } else {
                assert_eq!(
                    self.seen.get(&expected),
                    Some(&Cid::for_raw(&bytes)),
                    "{told}: event {expected} was another"
                );
            }
            if matches!(&frame.message, Message::Commit(commit) if commit.commit == marker) {
                return;
            }
        }
    }

    async fn take(&mut self, bytes: &Bytes, told: &str) {
        let frame = frame::decode(bytes).unwrap();
        let seq = frame.seq.unwrap_or_default();
        assert_eq!(seq, self.seq() + 1, "{told}: a gap");
        let key = match &frame.message {
            Message::Commit(commit) => Some(self.key(&commit.repo).await),
            Message::Sync(sync) => Some(self.key(&sync.did).await),
            Message::Identity(_)
            | Message::Account(_)
            | Message::Info(_)
            | Message::Error(_)
            | Message::Other { .. } => None,
        };
        if let Err(error) = self.consumer.take(&frame, key.as_ref()) {
            panic!("{told}: event {seq}: {error}");
        }
        if let Message::Commit(commit) = frame.message {
            self.commits.insert((commit.repo, commit.commit));
        }
        self.seen.insert(seq, Cid::for_raw(bytes));
        self.seen.remove(&(seq - 2 * SEEN_AGAIN));
    }

    /// The key that the directory has for an account.
    async fn key(&mut self, did: &Did) -> DidKey {
        if let Some(key) = self.keys.get(did) {
            return key.clone();
        }
        let response = self.http.get(format!("{}/{did}", self.directory)).send().await.unwrap();
        let json = serde_json::from_str(&response.text().await.unwrap()).unwrap();
        let key = DidDocument::from_json(json, did).unwrap().signing_key().unwrap();
        self.keys.insert(did.clone(), key.clone());
        key
    }

    /// Checks that everything that was acknowledged was told of.
    pub(crate) fn check_acks(&mut self, acks: &[(Did, Cid)], told: &str) {
        for ack in acks {
            assert!(self.commits.contains(ack), "{told}: the commit {} of {} was never told of", ack.1, ack.0);
        }
    }

    /// Begins to count commits anew.
    pub(crate) fn forget_commits(&mut self) {
        self.commits.clear();
    }

    /// Checks that a repository is whole, signed, and what the events come to; gives its records.
    pub(crate) async fn check_repo(&mut self, origin: &str, did: &Did, told: &str) -> Records {
        let url = format!("{origin}/xrpc/com.atproto.sync.getRepo?did={did}");
        let response = self.http.get(url).send().await.unwrap();
        assert_eq!(response.status(), 200, "{told}: {did}");
        let file = response.bytes().await.unwrap();
        let blocks = car::read(&file, &Limits::REPOSITORY).unwrap();
        let root = blocks.root().unwrap();
        let commit = SignedCommit::parse(blocks.get(&root).unwrap()).unwrap();
        commit.verify(&self.key(did).await).unwrap();
        let tree = Tree::from_blocks(&commit.commit().data, |cid| blocks.get(cid)).unwrap();
        let records: Records = tree.entries().map(|(path, cid)| (path.to_string(), cid)).collect();
        assert!(records.values().all(|cid| blocks.get(cid).is_some()), "{told}: a record of {did} is missing");
        let followed = self.consumer.repo(did).unwrap();
        assert_eq!(root, followed.commit, "{told}: the head of {did} is not what was told");
        if let Some(known) = &followed.records {
            assert_eq!(&records, known, "{told}: the records of {did} are not what was told");
        }
        records
    }
}
