//! What one record costs on its way in and out: the check against its lexicon, JSON to CBOR, and CBOR to JSON.
//!
//! Prints nanoseconds per record as JSON; `cargo xtask bench validate` runs it and keeps the figures.

#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a program that measures and says what it saw"
)]

use std::hint::black_box;
use std::time::{Duration, Instant};

use allod_atproto::{cbor, json};
use allod_lexicon::schema::SchemaSet;
use serde_json::{Value, json};

/// How often each piece of work is measured; the fastest round counts, as others share the machine.
const ROUNDS: usize = 500;
/// How long one round takes, about: short enough to fit between two interruptions.
const ROUND: Duration = Duration::from_millis(1);

fn main() {
    let records = [("post", post()), ("like", like()), ("post_with_images", post_with_images())];
    let figures = records.into_iter().map(|(name, record)| (name.to_owned(), measure(&record)));
    println!("{}", Value::Object(figures.collect()));
}

fn measure(record: &Value) -> Value {
    let nsid = record["$type"].as_str().unwrap();
    let set = SchemaSet::built_in();
    set.validate_record(nsid, record).unwrap();
    let cbor = json::to_cbor(record).unwrap();
    let text = record.to_string();
    json!({
        "cbor_bytes": cbor.len(),
        "validate_ns": nanos(|| (set.record_key(nsid).is_some(), set.validate_record(nsid, record).is_ok())),
        "to_cbor_ns": nanos(|| json::to_cbor(record)),
        "to_map_and_encode_ns": nanos(|| cbor::encode(&json::to_map(record).unwrap().into())),
        "write_json_ns": nanos(|| {
            let mut out = Vec::with_capacity(1024);
            json::write_json(&cbor, &mut out).map(|()| out)
        }),
        "decode_and_serialize_ns": nanos(|| json::from_value(&cbor::decode(&cbor).unwrap()).to_string()),
        "parse_json_ns": nanos(|| json::parse(text.as_bytes(), &json::Limits::OWN)),
    })
}

/// Gives the nanoseconds of one call.
fn nanos<T>(mut work: impl FnMut() -> T) -> u64 {
    let mut time = |times: u32| {
        let start = now();
        (0..times).for_each(|_| drop(black_box(work())));
        start.elapsed()
    };
    let once = time(1000) / 1000;
    let times = u32::try_from(ROUND.as_nanos() / once.as_nanos().max(1)).unwrap_or(u32::MAX).max(1);
    let fastest = (0..ROUNDS).map(|_| time(times)).min().unwrap_or_default();
    u64::try_from(fastest.as_nanos() / u128::from(times)).unwrap_or(u64::MAX)
}

#[expect(clippy::disallowed_methods, reason = "measuring is what this program is for")]
fn now() -> Instant {
    Instant::now()
}

fn post() -> Value {
    json!({
        "$type": "app.bsky.feed.post",
        "text": "Reading the paper on Merkle search trees again: https://hal.inria.fr/hal-02303490 is well worth an hour.",
        "createdAt": "2026-03-14T09:26:53.589Z",
        "langs": ["en"],
        "facets": [{
            "index": {"byteStart": 48, "byteEnd": 81},
            "features": [{"$type": "app.bsky.richtext.facet#link", "uri": "https://hal.inria.fr/hal-02303490"}],
        }],
    })
}

fn like() -> Value {
    json!({
        "$type": "app.bsky.feed.like",
        "subject": {
            "uri": "at://did:plc:ewvi7nxzyoun6zhxrhs64oiz/app.bsky.feed.post/3jzfcijpj2z2a",
            "cid": "bafyreigbtj4x7ip5legnfznufuopl4sg4knzc2cof6duas4b3q2fy6swua",
        },
        "createdAt": "2026-03-14T09:26:53.589Z",
    })
}

fn post_with_images() -> Value {
    let image = json!({
        "image": {
            "$type": "blob",
            "ref": {"$link": "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity"},
            "mimeType": "image/jpeg",
            "size": 345_678,
        },
        "alt": "東京の夕焼け",
        "aspectRatio": {"width": 1600, "height": 1200},
    });
    let mut post = post();
    post["text"] = "夕焼けがとてもきれいでした。写真を四枚のせます。".repeat(4).into();
    post["langs"] = json!(["ja", "en-GB"]);
    post["embed"] = json!({"$type": "app.bsky.embed.images", "images": vec![image; 4]});
    post["reply"] = json!({"root": like()["subject"], "parent": like()["subject"]});
    post
}
