//! What importing a large repository takes: memory, time and room on the disk.
//!
//! `import make FILE RECORDS` writes a repository as a CAR file; `import run FILE` imports it into a server of its own and
//! prints what it took as JSON. In two steps, because making the file takes more memory than importing it.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a program that measures and says what it saw"
)]

use std::{
    fs,
    io::{BufWriter, Write as _},
    time::Instant,
};

use allod_atproto::{
    Cid, Did, Handle, Nsid, Tid, car, cbor,
    crypto::{Curve, SigningKey},
    json,
    plc::{Operation, UnsignedPlcOperation},
    repo::{Commit, Step, Tree},
    service_auth::{self, Audience, ServiceToken},
};
use allod_plc::client::PlcClient;
use allod_testkit::TestPds;
use futures_util::stream;
use serde_json::json;

/// When test clocks start, in seconds since the Unix epoch.
const START_SECS: u64 = 1_767_225_600;
/// How much of the file is sent at once, in bytes.
const PIECE_BYTES: usize = 64 * 1024;

#[tokio::main]
async fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [_, "make", file, records] => make(file, records.parse().unwrap()),
        [_, "run", file] => run(file).await,
        _ => println!("import make FILE RECORDS | import run FILE"),
    }
}

fn identity() -> (Did, SigningKey, Operation) {
    let key = |number| SigningKey::from_bytes(Curve::K256, &[number; 32]).unwrap();
    let (rotation, signing) = (key(50), key(51));
    let handle = Handle::parse("someone.elsewhere.test").unwrap();
    let keys = vec![rotation.did_key()];
    let genesis = UnsignedPlcOperation::atproto(keys, signing.did_key(), &handle, "https://elsewhere.test", None);
    let genesis = genesis.sign(&rotation);
    (genesis.did().unwrap(), signing, genesis)
}

fn record(number: u64) -> (String, Vec<u8>) {
    let rkey = Tid::from_parts(START_SECS * 1_000_000 - 1_000_000_000 + number * 1000, 3);
    let record = if number.is_multiple_of(3) {
        let text = format!("post number {number}: {}", "words and more words, ".repeat(8));
        json!({ "$type": "app.bsky.feed.post", "text": text, "createdAt": "2026-11-25T12:00:00.000Z", "langs": ["en"] })
    } else {
        let subject = json!({ "uri": format!("at://did:plc:aaaaaaaaaaaaaaaaaaaaaaaa/app.bsky.feed.post/{rkey}"), "cid": "bafyreie5737gdxlw5i64vzichcalba3z2v5n6icifvx5xytvske7mr3hpm" });
        json!({ "$type": "app.bsky.feed.like", "subject": subject, "createdAt": "2026-11-25T12:00:00.000Z" })
    };
    let path = format!("{}/{rkey}", record["$type"].as_str().unwrap());
    (path, cbor::encode(&json::to_map(&record).unwrap().into()))
}

fn make(file: &str, records: u64) {
    let (did, signing, _) = identity();
    let mut all: Vec<(String, u64)> = (0..records).map(|number| (record(number).0, number)).collect();
    all.sort();
    let tree = Tree::from_sorted(all.iter().map(|(path, number)| (path, Cid::for_cbor(&record(*number).1)))).unwrap();
    let rev = Tid::from_parts(START_SECS * 1_000_000, 1);
    let commit = Commit { did, rev, data: tree.root(), prev: None }.sign(&signing);
    let mut out = BufWriter::new(fs::File::create(file).unwrap());
    let mut writer = car::Writer::new(&commit.cid());
    writer.block(&commit.cid(), commit.bytes());
    let mut numbers = all.iter().map(|(_, number)| *number);
    for step in tree.walk() {
        match step {
            Step::Node(node) => writer.block(&node.cid(), &node.block()),
            Step::Entry { value, .. } => writer.block(&value, &record(numbers.next().unwrap()).1),
        }
        out.write_all(&writer.take()).unwrap();
    }
    out.flush().unwrap();
}

async fn run(file: &str) {
    let (did, signing, genesis) = identity();
    let pds = TestPds::options().config(|config| config.imports.file_bytes_max = 1 << 30).start().await;
    PlcClient::new(pds.plc().real_url().clone(), pds.client().clone()).submit(&did, &genesis).await.unwrap();
    let claims = ServiceToken {
        iss: did.clone(),
        aud: Audience::from(pds.did().clone()),
        exp: START_SECS + 60,
        iat: Some(START_SECS),
        lxm: Some(Nsid::parse("com.atproto.server.createAccount").unwrap()),
        jti: Some("once".to_owned()),
        kid: None,
    };
    let body = json!({ "handle": "mover.test", "email": "m@mail.test", "password": "correct horse", "did": did });
    let token = service_auth::encode(&claims, &signing);
    let created = pds.xrpc_post("com.atproto.server.createAccount").json(&body).bearer(&token).ok().await;
    let access = created["accessJwt"].as_str().unwrap().to_owned();

    let bytes = fs::metadata(file).unwrap().len();
    let pieces = stream::unfold(fs::File::open(file).unwrap(), |mut file| async move {
        let mut piece = vec![0; PIECE_BYTES];
        let read = std::io::Read::read(&mut file, &mut piece).unwrap();
        piece.truncate(read);
        (read > 0).then_some((Ok::<_, std::io::Error>(piece), file))
    });
    // From here on the high-water mark is the import's.
    fs::write("/proc/self/clear_refs", "5").unwrap();
    let idle_kib = status("VmRSS:");
    let start = Instant::now();
    let request = pds.client().post(format!("{}/xrpc/com.atproto.repo.importRepo", pds.url())).bearer_auth(access);
    let request = request.header("content-type", "application/vnd.ipld.car").header("content-length", bytes);
    let response = request.body(reqwest::Body::wrap_stream(pieces)).send().await.unwrap();
    let (status_code, seconds) = (response.status().as_u16(), start.elapsed().as_secs_f64());
    let answer = response.text().await.unwrap();
    let store_bytes = fs::metadata(pds.database()).unwrap().len();
    println!(
        "{}",
        json!({
            "status": status_code, "answer": answer, "file_bytes": bytes, "store_bytes": store_bytes,
            "seconds": seconds, "idle_kib": idle_kib, "high_water_kib": status("VmHWM:"),
        })
    );
}

/// A number of this process's status.
fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with(name)).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
