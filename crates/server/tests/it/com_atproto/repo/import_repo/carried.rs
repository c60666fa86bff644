//! What other servers take and this one does not: carried as it is where the tree is sound.

use allod_atproto::{Cid, car};
use allod_server::domain::{
    repos::{import::Import, verify},
    shares::Taker,
};
use allod_testkit::TestPds;
use serde_json::{Value, json};

use super::{Made, Mover, import, text};
use crate::{
    blobs::{content, get},
    seen::refusal,
};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\0\x01\0\0\0\x01\x08\x06\0\0\0";

/// Records in DAG-CBOR that the data model does not have.
fn foreign(blob: &Cid) -> Vec<(&'static str, Vec<u8>)> {
    let link = [&[0xd8, 0x2a, 0x58, 37, 0][..], &blob.to_bytes()].concat();
    vec![
        ("float", b"\xa1\x61a\xfb\x3f\xf8\0\0\0\0\0\0".to_vec()),
        ("large", b"\xa1\x61a\x1b\xff\xff\xff\xff\xff\xff\xff\xff".to_vec()),
        ("deep", [&b"\xa1\x61a"[..], &[0x81; 65], b"\x80"].concat()),
        ("linked", [&b"\xa2\x61a\x82\xf9\x3c\0"[..], &link, b"\x68mimeType\x63a/b"].concat()),
    ]
}

async fn upload(pds: &TestPds, token: &str, content_type: &str, bytes: &[u8]) -> Value {
    let call = pds.xrpc_post("com.atproto.repo.uploadBlob").bearer(token);
    call.body(content_type, bytes.to_vec()).ok().await["blob"].clone()
}

#[tokio::test]
async fn records_outside_of_the_data_model_are_carried_byte_for_byte() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let blob = Cid::for_raw(b"a blob");
    let mut made = mover.made(3);
    for (key, block) in foreign(&blob) {
        made.put_block(&format!("com.example.note/{key}"), block);
    }
    let shown = mover.imported(&pds, mover.file(&pds, &made)).await;
    assert_eq!(shown.entries, made.entries());
    let did = mover.did();
    let mut again = Import::begin(pds.app(), did, &Taker::OPERATOR, None).await.unwrap();
    again.push(mover.file(&pds, &made)).await.unwrap();
    let imported = again.finish(|_| ()).await.unwrap();
    assert_eq!((imported.records, imported.unreadable), (7, 4), "the operator is told");
    mover.activate(&pds).await;

    let of = |key: &str| {
        let call =
            pds.xrpc_get("com.atproto.repo.getRecord").param("repo", did).param("collection", "com.example.note");
        call.param("rkey", key)
    };
    of("00000").ok().await;
    for (key, block) in foreign(&blob) {
        let message = format!(
            "The record at://{did}/com.example.note/{key} can't be shown as JSON: it is not valid in the data model. \
             com.atproto.sync.getRecord has its bytes"
        );
        assert_eq!(of(key).error().await, refusal(400, "InvalidRequest", &message));
        let proof =
            pds.xrpc_get("com.atproto.sync.getRecord").param("did", did).param("collection", "com.example.note");
        let proof = proof.param("rkey", key).send().await;
        let file = car::read(&proof.body, &car::Limits::REPOSITORY).unwrap();
        assert_eq!(file.get(&Cid::for_cbor(&block)), Some(&block[..]));
    }
    let list = pds.xrpc_get("com.atproto.repo.listRecords").param("repo", did).param("collection", "com.example.note");
    let listed = list.param("limit", 4).ok().await;
    assert_eq!(listed["records"], json!([]), "the first four by their keys are all such records");
    let list = pds.xrpc_get("com.atproto.repo.listRecords").param("repo", did).param("collection", "com.example.note");
    let next = list.param("cursor", text(&listed["cursor"])).ok().await;
    assert_eq!(next["records"].as_array().unwrap().len(), 3);

    let report = verify::verify(pds.app(), did, &|_| {}).await.unwrap();
    assert_eq!((report.problems, report.records, report.unreadable), (vec![], 7, 4));
    let missing = pds.xrpc_get("com.atproto.repo.listMissingBlobs").bearer(&mover.access).ok().await;
    assert_eq!(missing["blobs"][0]["cid"], blob.to_string(), "its blob is kept");

    // They can be deleted and replaced, as any other.
    let body = json!({ "repo": did, "collection": "com.example.note", "rkey": "float" });
    pds.xrpc_post("com.atproto.repo.deleteRecord").bearer(&mover.access).json(&body).ok().await;
    let body = json!({ "repo": did, "collection": "com.example.note", "rkey": "deep", "record": { "n": 1 } });
    pds.xrpc_post("com.atproto.repo.putRecord").bearer(&mover.access).json(&body).ok().await;
    let report = verify::verify(pds.app(), did, &|_| {}).await.unwrap();
    assert_eq!((report.problems, report.records, report.unreadable), (vec![], 6, 2));
}

#[tokio::test]
async fn links_that_can_be_none_are_not_taken() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let mut made = mover.made(3);
    // `bafkreaa`: SHA-256 of no bytes at all.
    made.put_block("com.example.note/link", b"\xa1\x61a\xd8\x2a\x45\0\x01\x55\x12\0".to_vec());
    let refused = import(&pds, &mover.access, mover.file(&pds, &made)).error().await;
    let message = "Could not parse record at 'com.example.note/link': it is not an object in DAG-CBOR, or it has an \
                   invalid link";
    assert_eq!(refused, refusal(400, "InvalidRequest", message));

    let alice = pds.account("alice").await;
    let record = json!({ "link": { "$link": "bafkreaa" } });
    let body = json!({ "repo": alice.did, "collection": "com.example.note", "record": record });
    let (status, name, message) =
        pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&body).error().await;
    assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{message}");
}

/// A profile as it was written before blobs had a type.
fn old_profile(avatar: &Cid, banner: &Cid) -> Value {
    json!({
        "$type": "app.bsky.actor.profile",
        "displayName": "Mover",
        "avatar": { "cid": avatar.to_string(), "mimeType": "image/png" },
        "banner": { "cid": banner.to_string(), "mimeType": "image/jpeg" },
    })
}

#[tokio::test]
async fn an_old_profile_can_be_read_changed_and_put_back() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let jpeg = [b"\xff\xd8\xff\xe0\0\x10JFIF".to_vec(), content(1, 500)].concat();
    let (avatar, banner) = (Cid::for_raw(PNG), Cid::for_raw(&jpeg));
    let mut made = Made::new(mover.did());
    made.put("app.bsky.actor.profile/self", &old_profile(&avatar, &banner));
    mover.imported(&pds, mover.file(&pds, &made)).await;
    mover.activate(&pds).await;
    let did = mover.did();
    let profile = async || {
        let call = pds.xrpc_get("com.atproto.repo.getRecord").param("repo", did);
        let call = call.param("collection", "app.bsky.actor.profile").param("rkey", "self");
        call.ok().await["value"].clone()
    };
    let put = |collection: &str, rkey: &str, record: &Value| {
        let body = json!({ "repo": did, "collection": collection, "rkey": rkey, "record": record });
        pds.xrpc_post("com.atproto.repo.putRecord").bearer(&mover.access).json(&body)
    };
    let mut changed = profile().await;
    changed["displayName"] = json!("Moved");
    let missing = refusal(400, "BlobNotFound", &format!("Could not find blob: {avatar}"));
    assert_eq!(put("app.bsky.actor.profile", "self", &changed).error().await, missing);

    upload(&pds, &mover.access, "application/octet-stream", PNG).await;
    upload(&pds, &mover.access, "application/octet-stream", &jpeg).await;
    put("app.bsky.actor.profile", "self", &changed).ok().await;
    let now = profile().await;
    let blob = |cid: &Cid, mime_type: &str, size: usize| json!({ "$type": "blob", "ref": { "$link": cid.to_string() }, "mimeType": mime_type, "size": size });
    assert_eq!(now["displayName"], "Moved");
    assert_eq!(now["avatar"], blob(&avatar, "image/png", PNG.len()));
    assert_eq!(now["banner"], blob(&banner, "image/jpeg", jpeg.len()));
    assert_eq!(get(&pds, did, &avatar).send().await.body, PNG);

    // The same as an update in a batch; a new record with the old form is refused as ever.
    let mut again = now.clone();
    again["avatar"] = json!({ "cid": avatar.to_string(), "mimeType": "image/png" });
    let update = json!({ "$type": "com.atproto.repo.applyWrites#update", "collection": "app.bsky.actor.profile",
        "rkey": "self", "value": again });
    let body = json!({ "repo": did, "writes": [update] });
    pds.xrpc_post("com.atproto.repo.applyWrites").bearer(&mover.access).json(&body).ok().await;
    assert_eq!(profile().await["avatar"], blob(&avatar, "image/png", PNG.len()));
    let legacy = refusal(400, "InvalidRequest", &format!("Legacy blobs are not allowed ({avatar})"));
    let note = json!({ "file": { "cid": avatar.to_string(), "mimeType": "image/png" } });
    assert_eq!(put("com.example.note", "new", &note).error().await, legacy);
    let generator = json!({ "$type": "app.bsky.feed.generator", "did": "did:web:feed.example", "displayName": "Feed",
        "createdAt": "2026-01-01T00:00:00.000Z", "avatar": { "cid": avatar.to_string(), "mimeType": "image/png" } });
    assert_eq!(put("app.bsky.feed.generator", "new", &generator).error().await.0, 400, "the lexicon is known");
}

#[tokio::test]
async fn a_blob_that_came_without_a_type_has_that_of_the_record() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let files: Vec<(&str, Vec<u8>)> = vec![
        ("text/csv", b"a,b\n1,2\n".to_vec()),
        ("audio/x-flac", [b"fLaC\0\0\0\x22".to_vec(), content(2, 200)].concat()),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", {
            [b"PK\x03\x04\x14\0\0\0\0\0".to_vec(), content(3, 200)].concat()
        }),
    ];
    let mut made = Made::new(mover.did());
    for (number, (mime_type, bytes)) in files.iter().enumerate() {
        let blob = json!({ "$type": "blob", "ref": { "$link": Cid::for_raw(bytes).to_string() }, "mimeType": mime_type,
            "size": bytes.len() });
        made.put(&format!("com.example.note/{number}"), &json!({ "$type": "com.example.note", "file": blob }));
    }
    // One before its record, the others behind.
    upload(&pds, &mover.access, "*/*", &files[0].1).await;
    mover.imported(&pds, mover.file(&pds, &made)).await;
    upload(&pds, &mover.access, "application/octet-stream", &files[1].1).await;
    upload(&pds, &mover.access, "*/*", &files[2].1).await;
    mover.activate(&pds).await;
    for (mime_type, bytes) in &files {
        let reply = get(&pds, mover.did(), &Cid::for_raw(bytes)).send().await;
        assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &bytes[..]));
        assert_eq!(reply.headers["content-type"], *mime_type);
        assert_eq!(reply.headers["content-security-policy"], "default-src 'none'; sandbox");
    }
}
