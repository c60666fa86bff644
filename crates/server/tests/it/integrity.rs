//! What a bad disk does to stored bytes: it is found when they are read, never shown, and named.
//!
//! `ALLOD_BIT_FLIPS` sets how many bits are flipped (300).

use std::{fs, path::PathBuf};

use allod_atproto::{Cid, Did, car, cbor, frame::Message, json::from_value as json_of};
use allod_blobstore::checksums::Summing;
use allod_server::{
    control::{self, Answer, Command, ServerStatus, Silent},
    domain::{pace::Pace, scrub},
};
use allod_store::{ConflictKey, EventKind, SqlValue, Statement, Touched, Txn, sql, tables::scrub as position};
use allod_testkit::{Actor, TestPds};
use serde_json::json;

use crate::{
    blobs::{content, files, get, upload},
    seen,
};

const NOTES: &str = "com.example.note";

/// The sizes of the blobs, in bytes: around one piece that has a checksum, and many.
const BLOBS: [u32; 4] = [10, 65_536, 65_537, 400_000];

/// Numbers that look random.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }

    /// Flips one bit.
    fn flip(&mut self, bytes: &mut [u8]) -> usize {
        let at = self.below(bytes.len());
        bytes[at] ^= 1 << self.below(8);
        at
    }
}

/// Somebody with blobs, and records that refer to them.
struct Site {
    pds: TestPds,
    alice: Actor,
    blobs: Vec<(Cid, Vec<u8>, PathBuf)>,
}

impl Site {
    async fn new() -> Self {
        let pds = TestPds::start().await;
        pds.arranges_the_impossible();
        let alice = pds.account("alice").await;
        let mut blobs = Vec::new();
        for (seed, bytes) in (1..).zip(BLOBS) {
            let before = files(&pds);
            let bytes = content(seed, bytes);
            let answer = upload(&pds, &alice, "text/plain", bytes.clone()).ok().await;
            let record = json!({ "$type": NOTES, "file": answer["blob"], "text": "x".repeat(seed as usize * 50) });
            let body = json!({ "repo": alice.did, "collection": NOTES, "rkey": format!("k{seed}"), "record": record });
            pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&body).ok().await;
            let file = files(&pds).into_iter().find(|file| !before.contains(file)).unwrap();
            blobs.push((Cid::for_raw(&bytes), bytes, file));
        }
        Self { pds, alice, blobs }
    }

    /// Runs a statement behind the server's back.
    async fn run(&self, sql: &str, params: Vec<SqlValue>) {
        let mut txn = Txn::new();
        txn.run(Statement::new(sql.to_owned().leak(), params));
        self.pds.app().db.commit(txn).await.unwrap();
    }

    async fn status(&self) -> ServerStatus {
        match control::execute(self.pds.app(), Command::Status {}, &mut Silent).await {
            Ok(Answer::Status(status)) => status,
            other => panic!("no status: {}", other.is_ok()),
        }
    }

    /// Reads a range of a blob and checks that no byte of it is wrong; tells whether it came whole.
    async fn reads_blob(&self, number: usize, start: usize, end: usize) -> bool {
        let (cid, bytes, _) = &self.blobs[number];
        let call = get(&self.pds, &self.alice.did, cid).header("range", &format!("bytes={start}-{}", end - 1));
        // A body that is broken off is an error of the client's.
        let Ok(reply) = call.try_send().await else { return false };
        if reply.status.as_u16() == 206 {
            assert!(reply.body == bytes[start..end], "wrong bytes of {start}..{end}");
            return true;
        }
        seen::told_to_come_back(&reply);
        false
    }

    /// Reads records every way there is, and checks that each block is what its CID says.
    async fn reads_record(&self, rkey: &str, sound: &serde_json::Value) -> usize {
        let (pds, did) = (&self.pds, &self.alice.did);
        let mut refusals = 0;
        let get = pds.xrpc_get("com.atproto.repo.getRecord").param("repo", did).param("collection", NOTES);
        let reply = get.param("rkey", rkey).send().await;
        if reply.status.as_u16() == 200 {
            assert_eq!(&reply.json()["value"], sound);
        } else {
            seen::told_to_come_back(&reply);
            refusals += 1;
        }
        let list = pds.xrpc_get("com.atproto.repo.listRecords").param("repo", did).param("collection", NOTES);
        let listed = list.ok().await;
        let uri = format!("at://{did}/{NOTES}/{rkey}");
        match listed["records"].as_array().unwrap().iter().find(|record| record["uri"] == uri.as_str()) {
            Some(record) => assert_eq!(&record["value"], sound),
            None => refusals += 1,
        }
        assert_eq!(listed["records"].as_array().unwrap().len() + refusals.min(1), BLOBS.len());
        let whole = pds.xrpc_get("com.atproto.sync.getRepo").param("did", did);
        let one = pds.xrpc_get("com.atproto.sync.getRecord").param("did", did).param("collection", NOTES);
        for call in [whole, one.param("rkey", rkey)] {
            match call.try_send().await {
                // The reader checks each block's hash.
                Ok(reply) if reply.status.as_u16() == 200 => {
                    car::read(&reply.body, &car::Limits::REPOSITORY).unwrap();
                }
                Ok(reply) => {
                    seen::told_to_come_back(&reply);
                    refusals += 1;
                }
                Err(_) => refusals += 1,
            }
        }
        refusals
    }

    async fn flips_in_blob(&self, numbers: &mut Numbers) {
        let number = numbers.below(self.blobs.len());
        let (_, bytes, file) = &self.blobs[number];
        let mut damaged = bytes.clone();
        let at = numbers.flip(&mut damaged);
        fs::write(file, &damaged).unwrap();
        assert!(!self.reads_blob(number, 0, bytes.len()).await, "a flipped bit at {at} was not seen");
        let (a, b) = (numbers.below(bytes.len()), numbers.below(bytes.len()));
        let (start, end) = (a.min(b), a.max(b) + 1);
        let is_whole = self.reads_blob(number, start, end).await;
        assert!(!(is_whole && (start..end).contains(&at)));
        fs::write(file, bytes).unwrap();
    }

    async fn flips_in_record(&self, numbers: &mut Numbers) {
        let rkey = format!("k{}", numbers.below(BLOBS.len()) + 1);
        let path = format!("{NOTES}/{rkey}");
        let db = &self.pds.app().db;
        let rows = db.read(sql!("SELECT block FROM records WHERE path = $1", path.as_str())).await.unwrap();
        let block: Vec<u8> = rows[0].get(0).unwrap();
        let sound = json_of(&cbor::decode(&block).unwrap());
        let mut damaged = block.clone();
        numbers.flip(&mut damaged);
        let set = "UPDATE records SET block = $1 WHERE path = $2";
        self.run(set, vec![damaged.into(), path.as_str().into()]).await;
        assert_eq!(self.reads_record(&rkey, &sound).await, 4, "{path}: a flipped bit was not seen");
        self.run(set, vec![block.into(), path.as_str().into()]).await;
        assert_eq!(self.reads_record(&rkey, &sound).await, 0);
    }

    async fn flips_in_event(&self, numbers: &mut Numbers) {
        let db = &self.pds.app().db;
        let newest = usize::try_from(*db.watch().borrow()).unwrap();
        let seq = i64::try_from(numbers.below(newest)).unwrap() + 1;
        let sound = db.events(seq - 1, 1).await.unwrap().remove(0);
        let day = allod_store::EventDay::of_micros(sound.time_micros).unwrap();
        let mut after = sound.after.to_vec();
        let mut before = sound.before.to_vec();
        let mut did = sound.did.clone();
        let mut time = sound.time_micros;
        match numbers.below(4) {
            0 => drop(numbers.flip(&mut before)),
            1 => time ^= 1 << numbers.below(60),
            2 => did.push('x'),
            _ => drop(numbers.flip(&mut after)),
        }
        let set = format!(
            "UPDATE events_{day} SET frame_before = $1, frame_after = $2, did = $3, time_micros = $4 WHERE seq = $5"
        );
        self.run(&set, vec![before.into(), after.into(), did.into(), time.into(), seq.into()]).await;
        let read = db.events(seq - 1, 2).await.unwrap();
        assert_eq!((read[0].seq, read[0].kind), (seq, EventKind::Damaged), "a flipped bit was not seen");
        assert!(read[0].before.is_empty() && read[0].after.is_empty());
        assert!(read.get(1).is_none_or(|next| next.seq == seq + 1 && next.kind != EventKind::Damaged));
        let whole = vec![
            sound.before.clone().into(),
            sound.after.clone().into(),
            sound.did.as_str().into(),
            sound.time_micros.into(),
            seq.into(),
        ];
        self.run(&set, whole).await;
        assert_eq!(db.events(seq - 1, 1).await.unwrap(), [sound]);
    }
}

#[expect(clippy::disallowed_methods, reason = "a rig is set through the environment")]
fn flips() -> usize {
    std::env::var("ALLOD_BIT_FLIPS").ok().and_then(|flips| flips.parse().ok()).unwrap_or(300)
}

#[tokio::test]
async fn no_flipped_bit_is_served() {
    let site = Site::new().await;
    let mut numbers = Numbers(20_261_130);
    for flip in 0..flips() {
        match flip % 3 {
            0 => site.flips_in_blob(&mut numbers).await,
            1 => site.flips_in_record(&mut numbers).await,
            _ => site.flips_in_event(&mut numbers).await,
        }
    }
    // Whatever the disk does, the server goes on.
    for (number, (_, bytes, _)) in site.blobs.iter().enumerate() {
        assert!(site.reads_blob(number, 0, bytes.len()).await);
    }
    let errors = site.pds.logged_errors();
    assert!(errors.iter().all(|error| error.contains("damaged data was found")), "{errors:?}");
}

#[tokio::test]
async fn a_damaged_blob_is_named_and_an_upload_brings_it_back() {
    let site = Site::new().await;
    let (cid, bytes, file) = &site.blobs[3];
    let mut damaged = bytes.clone();
    damaged[350_000] ^= 1;
    fs::write(file, &damaged).unwrap();
    for _ in 0..3 {
        assert!(!site.reads_blob(3, 0, 400_000).await, "broken off");
        assert!(!site.reads_blob(3, 349_999, 350_001).await, "refused");
        assert!(site.reads_blob(3, 0, 300_000).await, "the pieces before it are sound");
        assert!(site.reads_blob(3, 393_216, 400_000).await, "those behind it too");
    }
    let errors = site.pds.logged_errors();
    assert_eq!(errors.len(), 1, "told once: {errors:?}");
    let subject = format!("{} blob {cid}", site.alice.did);
    assert!(errors[0].contains(&subject), "{errors:?}");
    let status = site.status().await;
    let listed: Vec<_> = status.damaged_data.iter().map(|damage| (damage.subject.as_str(), damage.count)).collect();
    assert_eq!(listed, [(subject.as_str(), 6)]);
    assert!(status.takes_writes && status.problems.len() == 1);
    assert!(status.problems[0].remedy.contains("upload them again"));
    site.pds.do_jobs().await;
    let noted = site.pds.app().audit.page(None, 1).await.unwrap().0.remove(0);
    assert_eq!((noted.actor.as_str(), noted.subject.as_str()), ("server", subject.as_str()));

    upload(&site.pds, &site.alice, "text/plain", bytes.clone()).ok().await;
    assert!(site.reads_blob(3, 0, 400_000).await);
    let status = site.status().await;
    assert!(status.damaged_data.is_empty() && status.problems.is_empty());
    assert_eq!(site.pds.logged_errors(), [""; 0]);
}

#[tokio::test]
async fn the_scrub_gives_blobs_their_checksums_and_finds_what_nobody_reads() {
    let site = Site::new().await;
    let (pds, db) = (&site.pds, &site.pds.app().db);
    let sums = async || db.read(sql!("SELECT object, crc32c FROM blob_checksums ORDER BY object")).await.unwrap();
    let uploaded = sums().await;
    assert_eq!(uploaded.len(), BLOBS.len());
    site.run("DELETE FROM blob_checksums", vec![]).await;
    scrub::round(pds.app(), &Pace::unlimited()).await.unwrap();
    assert_eq!(sums().await, uploaded, "as those of an upload");
    assert!(site.status().await.scrub.unwrap().ended_at.is_some());

    // A blob, a record and an event are damaged, and nobody reads them.
    let (cid, bytes, file) = &site.blobs[1];
    let mut damaged = bytes.clone();
    damaged[7] ^= 8;
    fs::write(file, &damaged).unwrap();
    site.run("UPDATE records SET block = x'a0' WHERE path = $1", vec![format!("{NOTES}/k3").into()]).await;
    let day = allod_store::EventDay::of_micros(db.events(0, 1).await.unwrap()[0].time_micros).unwrap();
    site.run(&format!("UPDATE events_{day} SET frame_after = x'a0' WHERE seq = 2"), vec![]).await;
    scrub::round(pds.app(), &Pace::unlimited()).await.unwrap();
    let status = site.status().await;
    let subjects: Vec<_> = status.damaged_data.iter().map(|damage| damage.subject.clone()).collect();
    let did = &site.alice.did;
    assert_eq!(subjects, [format!("{did} blob {cid}"), format!("{did} repository"), "event 2".to_owned()]);
    let marked = async || db.read(sql!("SELECT object FROM blob_checksums WHERE crc32c = x''")).await.unwrap().len();
    assert_eq!(marked().await, 1);
    assert!(!site.reads_blob(1, 10_000, 10_001).await, "nothing of it is given");

    // A round that was interrupted goes on where it was: what came before is not read again.
    let mut txn = Txn::new();
    let mut at = position::read(&**db).await.unwrap().unwrap();
    (at.ended_at, at.did) = (None, "did:zzz".to_owned());
    position::write(&mut txn, &at);
    db.commit(txn).await.unwrap();
    fs::write(file, bytes).unwrap();
    scrub::round(pds.app(), &Pace::unlimited()).await.unwrap();
    assert!(site.status().await.damaged_data.iter().any(|damage| damage.subject.contains(&cid.to_string())));
    scrub::round(pds.app(), &Pace::unlimited()).await.unwrap();
    assert!(!site.status().await.damaged_data.iter().any(|damage| damage.subject.contains(&cid.to_string())));
    assert_eq!(sums().await, uploaded);
    assert!(site.reads_blob(1, 0, bytes.len()).await);
}

#[tokio::test]
async fn a_blob_without_checksums_is_checked_before_anything_of_it_is_given() {
    let site = Site::new().await;
    let db = &site.pds.app().db;
    let sums = async || db.read(sql!("SELECT object, crc32c FROM blob_checksums ORDER BY object")).await.unwrap();
    let uploaded = sums().await;
    site.run("DELETE FROM blob_checksums", vec![]).await;
    for (number, (_, bytes, _)) in site.blobs.iter().enumerate() {
        assert!(site.reads_blob(number, 0, bytes.len()).await);
    }
    assert_eq!(sums().await, uploaded, "the first reader has them computed");

    site.run("DELETE FROM blob_checksums", vec![]).await;
    let (_, bytes, file) = &site.blobs[3];
    let mut damaged = bytes.clone();
    damaged[350_000] ^= 1;
    fs::write(file, &damaged).unwrap();
    for _ in 0..2 {
        assert!(!site.reads_blob(3, 0, 10).await);
    }
    // Bytes that are changed with their checksums: the scrub finds them.
    let (_, bytes, file) = &site.blobs[2];
    let changed = vec![b'x'; bytes.len()];
    let mut checksums = Summing::default();
    checksums.update(&changed);
    fs::write(file, &changed).unwrap();
    site.run("DELETE FROM blob_checksums", vec![]).await;
    let insert = "INSERT INTO blob_checksums (object, crc32c) SELECT object, $1 FROM blobs WHERE size = $2";
    site.run(insert, vec![checksums.finish().into(), i64::from(BLOBS[2]).into()]).await;
    scrub::round(site.pds.app(), &Pace::unlimited()).await.unwrap();
    assert!(!site.reads_blob(2, 0, 10).await);
    let counts: Vec<u64> = site.status().await.damaged_data.iter().map(|damage| damage.count).collect();
    assert_eq!(counts, [2, 3], "by two readers and by the scrub");
    assert_eq!(site.pds.logged_errors().len(), 1, "the scrub ran outside the server");
}

#[tokio::test]
async fn the_firehose_says_that_an_event_is_damaged_and_goes_on() {
    let site = Site::new().await;
    let db = &site.pds.app().db;
    let events = db.events(0, 100).await.unwrap();
    let day = allod_store::EventDay::of_micros(events[0].time_micros).unwrap();
    site.run(&format!("UPDATE events_{day} SET frame_after = x'00' WHERE seq = 5"), vec![]).await;
    let newest = *db.watch().borrow();
    for cursor in [0, 4] {
        let mut stream = site.pds.subscribe(Some(cursor)).await;
        let (mut seqs, mut infos) = (Vec::new(), Vec::new());
        while seqs.last() != Some(&newest) {
            let frame = stream.frame().await;
            match (frame.seq, frame.message) {
                (Some(seq), _) => seqs.push(seq),
                (None, Message::Info(info)) => infos.push((seqs.last().copied(), info.name, info.message.unwrap())),
                (None, other) => panic!("{other:?}"),
            }
        }
        let expected: Vec<i64> = (cursor + 1..=newest).filter(|seq| *seq != 5).collect();
        assert_eq!(seqs, expected);
        let before = (cursor < 4).then_some(4);
        let message = "Event 5 is damaged and was left out".to_owned();
        assert_eq!(infos, [(before, "DamagedEvent".to_owned(), message)]);
    }
    let status = site.status().await;
    assert!(status.takes_writes, "a damaged event stops nobody");
    assert!(status.damaged_places.iter().any(|place| place.what.contains("event 5 ")), "{:?}", status.damaged_places);
}

#[tokio::test]
async fn a_damaged_head_is_neither_told_nor_signed_over() {
    let mut site = Site::new().await;
    site.run("UPDATE repos SET data = head", vec![]).await;
    site.pds.restart().await;
    for method in ["getLatestCommit", "getRepo", "getHead"] {
        let call = site.pds.xrpc_get(&format!("com.atproto.sync.{method}")).param("did", &site.alice.did);
        seen::told_to_come_back(&call.send().await);
    }
    let body = json!({ "repo": site.alice.did, "collection": NOTES, "record": {} });
    let write = site.pds.xrpc_post("com.atproto.repo.createRecord").bearer(&site.alice.access).json(&body);
    seen::told_to_come_back(&write.send().await);
    assert_eq!(site.pds.logged_errors().len(), 1, "told once");
}

/// Makes what is stored of somebody something that the schema does not allow.
async fn spoil(pds: &TestPds, did: &Did, sql: &'static str) {
    let mut txn = Txn::new();
    txn.touch(Touched::Account(did.to_string()));
    txn.expect(ConflictKey::Test("there"), 1, sql!(sql, did.as_str()));
    pds.app().db.commit(txn).await.unwrap();
}

#[tokio::test]
async fn a_row_that_cannot_be_read_is_named_and_costs_nobody_else() {
    let pds = TestPds::start().await;
    pds.arranges_the_impossible();
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    // A job goes through the accounts, too.
    pds.ignores_errors("ORDER BY created_at, did");
    spoil(&pds, &alice.did, "UPDATE accounts SET handle = 'no handle' WHERE did = $1").await;
    for _ in 0..3 {
        let reply = pds.xrpc_get("com.atproto.server.getSession").bearer(&alice.access).send().await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (503, &json!("DataDamaged")), "{}", reply.text());
        assert!(reply.json()["message"].as_str().unwrap().contains("damaged"));
        assert!(reply.headers.contains_key("retry-after"));
    }
    let told = pds.logged_errors();
    assert_eq!(told.len(), 1, "told once: {told:?}");
    assert!(told[0].contains("accounts.handle") && told[0].contains(alice.did.as_str()), "{told:?}");
    pds.xrpc_get("com.atproto.server.getSession").bearer(&bob.access).ok().await;

    // A list of many accounts goes on without it.
    spoil(&pds, &alice.did, "UPDATE repos SET rev = 'no revision' WHERE did = $1").await;
    let listed = pds.xrpc_get("com.atproto.sync.listRepos").ok().await;
    let dids: Vec<&str> = listed["repos"].as_array().unwrap().iter().map(|r| r["did"].as_str().unwrap()).collect();
    assert_eq!(dids, [bob.did.as_str()]);
    assert_eq!(pds.logged_errors().len(), 1);

    let Ok(Answer::Status(status)) = control::execute(pds.app(), Command::Status {}, &mut Silent).await else {
        panic!("no status")
    };
    assert!(status.damaged_places.len() >= 2, "{:?}", status.damaged_places);
    let _ = pds.logged_errors();
}
