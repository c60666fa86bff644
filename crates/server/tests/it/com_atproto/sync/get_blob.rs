//! `com.atproto.sync.getBlob`.

use allod_atproto::Cid;
use allod_testkit::{Reply, TestPds};

use crate::{
    blobs::{GET, content, get, refer, take_down, upload, uploaded},
    seen::{self, refusal},
};

/// Checks what every answer with bytes, or about them, carries.
fn is_safe(reply: &Reply, cid: &Cid) {
    let header = |name: &str| reply.headers.get(name).unwrap_or_else(|| panic!("no {name}")).to_str().unwrap();
    assert_eq!(header("content-security-policy"), "default-src 'none'; sandbox");
    assert_eq!(header("x-content-type-options"), "nosniff");
    assert_eq!(header("cross-origin-resource-policy"), "cross-origin");
    assert_eq!(header("content-disposition"), format!("attachment; filename=\"{cid}\""));
    assert_eq!(header("etag"), format!("\"{cid}\""));
    assert_eq!(header("accept-ranges"), "bytes");
    assert_eq!(header("vary"), "Authorization");
    assert_eq!(header("access-control-allow-origin"), "*");
}

#[tokio::test]
async fn gives_the_bytes_as_they_were_uploaded() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    for (seed, bytes) in [(1, 0), (2, 1), (3, 262_144), (4, 262_145), (5, 3_000_000)] {
        let bytes = content(seed, bytes);
        upload(&pds, &alice, "Text/HTML; charset=utf-8", bytes.clone()).ok().await;
        let cid = Cid::for_raw(&bytes);
        refer(&pds, &alice.did, &format!("r{seed}"), 1, &[cid]).await;
        let reply = get(&pds, &alice.did, &cid).send().await;
        assert_eq!(reply.status.as_u16(), 200);
        assert!(reply.body == bytes, "{} bytes came", reply.body.len());
        assert_eq!(reply.headers["content-type"], "text/html");
        assert_eq!(reply.headers["content-length"], bytes.len().to_string());
        assert_eq!(reply.headers["cache-control"], "public, max-age=300");
        is_safe(&reply, &cid);
        let own = get(&pds, &alice.did, &cid).bearer(&alice.access).send().await;
        assert_eq!(own.headers["cache-control"], "private, max-age=300");

        let url = format!("{}/xrpc/{GET}?did={}&cid={cid}", pds.url(), alice.did);
        let head = pds.client().head(url).send().await.unwrap();
        assert_eq!(head.status().as_u16(), 200);
        assert_eq!(head.headers()["content-length"], bytes.len().to_string());
        assert_eq!(head.headers()["content-type"], "text/html");
        assert!(head.bytes().await.unwrap().is_empty());
    }
}

#[tokio::test]
async fn ranges_are_for_get_alone() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let bytes = content(1, 1_000);
    let cid = uploaded(&pds, &alice, &bytes).await;
    refer(&pds, &alice.did, "a", 1, &[cid]).await;
    let url = format!("{}/xrpc/{GET}?did={}&cid={cid}", pds.url(), alice.did);
    for range in ["bytes=0-9", "bytes=2000-"] {
        let head = pds.client().head(&url).header("range", range).send().await.unwrap();
        assert_eq!(head.status().as_u16(), 200, "{range}");
        assert_eq!(head.headers()["content-length"], "1000");
        assert!(!head.headers().contains_key("content-range"));
    }
}

#[tokio::test]
async fn gives_a_part() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let bytes = content(1, 1_000_000);
    let cid = uploaded(&pds, &alice, &bytes).await;
    refer(&pds, &alice.did, "a", 1, &[cid]).await;
    let part = |range: &str| get(&pds, &alice.did, &cid).header("range", range);
    for (range, start, end) in [
        ("bytes=0-0", 0, 1),
        ("bytes=100-299", 100, 300),
        ("bytes=500000-", 500_000, 1_000_000),
        ("bytes=-10", 999_990, 1_000_000),
        ("bytes=999999-2000000", 999_999, 1_000_000),
    ] {
        let reply = part(range).send().await;
        assert_eq!(reply.status.as_u16(), 206, "{range}");
        assert!(reply.body == bytes[start..end], "{range}");
        assert_eq!(reply.headers["content-range"], format!("bytes {start}-{}/1000000", end - 1));
        assert_eq!(reply.headers["content-length"], (end - start).to_string());
        assert_eq!(reply.headers["content-type"], "text/plain");
        is_safe(&reply, &cid);
    }
    for range in ["bytes=1000000-", "bytes=1000000-1000001", "bytes=-0"] {
        let reply = part(range).send().await;
        assert_eq!((reply.status.as_u16(), &reply.json()["error"]), (416, &"InvalidRequest".into()), "{range}");
        assert_eq!(reply.headers["content-range"], "bytes */1000000");
        is_safe(&reply, &cid);
    }
    for range in ["bytes=0-1,4-5", "lines=1-2", "nonsense", "bytes=5-2"] {
        let reply = part(range).send().await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (200, 1_000_000), "{range}");
    }
    let etag = format!("\"{cid}\"");
    assert_eq!(part("bytes=0-1").header("if-range", &etag).send().await.status.as_u16(), 206);
    assert_eq!(part("bytes=0-1").header("if-range", "\"other\"").send().await.status.as_u16(), 200);
}

#[tokio::test]
async fn says_when_the_client_has_it_already() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let cid = uploaded(&pds, &alice, b"known").await;
    refer(&pds, &alice.did, "a", 1, &[cid]).await;
    for known in [format!("\"{cid}\""), format!("\"other\", W/\"{cid}\""), "*".to_owned()] {
        let reply = get(&pds, &alice.did, &cid).header("if-none-match", &known).send().await;
        assert_eq!((reply.status.as_u16(), reply.body.len()), (304, 0), "{known}");
        is_safe(&reply, &cid);
    }
    let reply = get(&pds, &alice.did, &cid).header("if-none-match", "\"other\"").send().await;
    assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"known"[..]));
}

#[tokio::test]
async fn shows_nothing_that_no_record_refers_to_or_that_was_taken_down() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let missing = refusal(400, "BlobNotFound", "Blob not found");
    let cid = uploaded(&pds, &alice, b"text").await;
    assert_eq!(get(&pds, &alice.did, &cid).error().await, missing);
    assert_eq!(get(&pds, &alice.did, &cid).bearer(&alice.access).error().await, missing);
    refer(&pds, &alice.did, "a", 1, &[cid]).await;
    assert_eq!(get(&pds, &alice.did, &cid).send().await.body, "text");
    assert_eq!(get(&pds, &bob.did, &cid).error().await, missing, "another account's");
    for other in [Cid::for_raw(b"other"), Cid::for_cbor(b"text")] {
        assert_eq!(get(&pds, &alice.did, &other).error().await, missing);
    }
    take_down(&pds, &alice.did, &cid, Some("a report")).await;
    assert_eq!(get(&pds, &alice.did, &cid).error().await, missing);
    let known = get(&pds, &alice.did, &cid).header("if-none-match", "*").error().await;
    assert_eq!(known, missing);
    take_down(&pds, &alice.did, &cid, None).await;
    assert_eq!(get(&pds, &alice.did, &cid).send().await.body, "text");
}

#[tokio::test]
async fn its_owner_and_the_operator_read_it_whatever_its_status() {
    let pds = TestPds::start().await;
    let (alice, bob, carol) = (pds.account("alice").await, pds.account("bob").await, pds.account("carol").await);
    let cid = uploaded(&pds, &alice, b"text").await;
    uploaded(&pds, &bob, b"text").await;
    for owner in [&alice, &bob] {
        refer(&pds, &owner.did, "a", 1, &[cid]).await;
    }
    let nobody = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    let missing = refusal(400, "RepoNotFound", &format!("Could not find repo for DID: {nobody}"));
    assert_eq!(pds.xrpc_get(GET).param("did", nobody).param("cid", cid).error().await, missing);
    seen::deactivate(&pds, &alice.did).await;
    seen::take_down(&pds, &bob.did).await;
    let bob = seen::signed_in_after_takedown(&pds, bob).await;
    for (owner, name, text) in
        [(&alice, "RepoDeactivated", "Repo has been deactivated"), (&bob, "RepoTakendown", "Repo has been takendown")]
    {
        let expected = refusal(400, name, &format!("{text}: {}", owner.did));
        assert_eq!(get(&pds, &owner.did, &cid).error().await, expected);
        assert_eq!(get(&pds, &owner.did, &cid).bearer(&carol.access).error().await, expected);
        for call in [get(&pds, &owner.did, &cid).bearer(&owner.access), get(&pds, &owner.did, &cid).admin()] {
            let reply = call.send().await;
            assert_eq!((reply.status.as_u16(), reply.body.as_ref()), (200, &b"text"[..]));
            assert_eq!(reply.headers["cache-control"], "private, max-age=300");
        }
    }
}

#[tokio::test]
async fn malformed_requests_are_refused() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    seen::wrong_verb(pds.xrpc_post(GET), "POST", "GET").await;
    for (did, cid) in [
        (Some(alice.did.as_str()), None),
        (Some(alice.did.as_str()), Some("x")),
        (Some(alice.did.as_str()), Some("../../etc/passwd")),
        (Some("alice.test"), Some("bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity")),
        (None, Some("bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity")),
    ] {
        let mut call = pds.xrpc_get(GET);
        for (name, value) in [("did", did), ("cid", cid)] {
            if let Some(value) = value {
                call = call.param(name, value);
            }
        }
        let (status, name, _) = call.error().await;
        assert_eq!((status, name.as_str()), (400, "InvalidRequest"), "{did:?} {cid:?}");
    }
    let (status, name, _) = pds.xrpc_get(GET).bearer("nonsense").param("did", &alice.did).error().await;
    assert_eq!((status, name.as_str()), (400, "InvalidRequest"));
}
