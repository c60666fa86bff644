//! Limited places: whoever takes all that are theirs leaves others theirs.

use allod_atproto::Cid;
use allod_server::{domain::repos, limits};
use allod_testkit::{Actor, Call, TestPds};
use bytes::Bytes;
use http::{HeaderValue, Request};
use serde_json::json;

use super::{Stalled, until};

const ONE: &str = "198.51.100.1";
const OTHER: &str = "198.51.100.2";

/// One kind of limited places.
struct Kind {
    name: &'static str,
    /// The share of one caller, and whether it is the account's or the address's.
    share: usize,
    by_account: bool,
    /// Whether it is an answer that is not taken; else a body that does not come.
    is_read: bool,
    open: fn(&TestPds, &Actor, &str) -> Request<()>,
    taken: fn(&TestPds) -> usize,
    /// The same from somebody who takes what comes.
    call: fn(&TestPds, &Actor) -> Call,
}

fn export(pds: &TestPds, actor: &Actor, address: &str) -> Request<()> {
    let url = format!("{}/xrpc/com.atproto.sync.getRepo?did={}", pds.url(), actor.did);
    Request::get(url).header("x-forwarded-for", address).body(()).unwrap()
}

fn own_export(pds: &TestPds, actor: &Actor, address: &str) -> Request<()> {
    let mut request = export(pds, actor, address);
    request.headers_mut().insert("authorization", HeaderValue::from_str(&format!("Bearer {}", actor.access)).unwrap());
    request
}

fn send(pds: &TestPds, actor: &Actor, address: &str, nsid: &str, content_type: &str) -> Request<()> {
    let request = Request::post(format!("{}/xrpc/{nsid}", pds.url()));
    let request = request.header("x-forwarded-for", address).header("content-type", content_type);
    request.header("authorization", format!("Bearer {}", actor.access)).body(()).unwrap()
}

fn upload(pds: &TestPds, actor: &Actor, address: &str) -> Request<()> {
    send(pds, actor, address, "com.atproto.repo.uploadBlob", "text/plain")
}

fn import(pds: &TestPds, actor: &Actor, address: &str) -> Request<()> {
    send(pds, actor, address, "com.atproto.repo.importRepo", "application/vnd.ipld.car")
}

fn call_export(pds: &TestPds, actor: &Actor) -> Call {
    pds.xrpc_get("com.atproto.sync.getRepo").param("did", &actor.did)
}

fn call_own_export(pds: &TestPds, actor: &Actor) -> Call {
    call_export(pds, actor).bearer(&actor.access)
}

fn call_upload(pds: &TestPds, actor: &Actor) -> Call {
    pds.xrpc_post("com.atproto.repo.uploadBlob").bearer(&actor.access).body("text/plain", Bytes::from_static(b"a"))
}

fn call_import(pds: &TestPds, actor: &Actor) -> Call {
    let call = pds.xrpc_post("com.atproto.repo.importRepo").bearer(&actor.access);
    call.body("application/vnd.ipld.car", Bytes::from_static(b"no CAR file"))
}

const KINDS: [Kind; 5] = [
    Kind {
        name: "exports of an address",
        is_read: true,
        share: limits::SNAPSHOTS_PER_ADDRESS_MAX,
        by_account: false,
        open: export,
        taken: |pds| pds.app().repos.exports(),
        call: call_export,
    },
    Kind {
        name: "exports of an account",
        is_read: true,
        share: limits::SNAPSHOTS_PER_ACCOUNT_MAX,
        by_account: true,
        open: own_export,
        taken: |pds| pds.app().repos.exports(),
        call: call_own_export,
    },
    Kind {
        name: "uploads of an account",
        is_read: false,
        share: limits::UPLOADS_PER_ACCOUNT_MAX,
        by_account: true,
        open: upload,
        taken: |pds| pds.app().blobs.uploads(),
        call: call_upload,
    },
    Kind {
        name: "uploads of an address",
        is_read: false,
        share: limits::UPLOADS_PER_ADDRESS_MAX,
        by_account: false,
        open: upload,
        taken: |pds| pds.app().blobs.uploads(),
        call: call_upload,
    },
    Kind {
        name: "imports of an address",
        is_read: false,
        share: limits::IMPORTS_PER_ADDRESS_MAX,
        by_account: false,
        open: import,
        taken: |pds| pds.app().imports.count(),
        call: call_import,
    },
];

/// Whether somebody has got a place; what comes of it is another matter.
async fn gets_one(kind: &Kind, pds: &TestPds, actor: &Actor, address: &str) -> bool {
    let reply = (kind.call)(pds, actor).header("x-forwarded-for", address).send().await;
    let status = reply.status.as_u16();
    assert!([200, 400, 429].contains(&status), "{}: {status} {}", kind.name, reply.text());
    if status == 429 {
        assert_eq!(reply.json()["error"], "RateLimitExceeded");
        assert!(reply.headers.contains_key("retry-after"), "{}", kind.name);
    }
    status != 429
}

#[tokio::test]
async fn whoever_takes_all_places_leaves_others_theirs() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    // More than is held of an answer that nobody takes.
    let text = "x".repeat(140_000);
    for n in 0..4 {
        let record = json!({ "$type": "com.example.note", "n": n, "text": text });
        let body = json!({ "repo": alice.did, "collection": "com.example.note", "record": record });
        pds.xrpc_post("com.atproto.repo.createRecord").bearer(&alice.access).json(&body).ok().await;
    }
    let mut others = Vec::new();
    for n in 0..limits::UPLOADS_PER_ADDRESS_MAX / limits::UPLOADS_PER_ACCOUNT_MAX {
        others.push(pds.account(&format!("user{n}")).await);
    }
    for kind in KINDS {
        let stalled = Stalled::connect(&pds).await;
        let mut held = Vec::new();
        for n in 0..kind.share {
            // Places of an address are taken by several accounts, places of an account from several addresses.
            let is_read = kind.is_read;
            let actor = if kind.by_account || is_read { &alice } else { &others[n % others.len()] };
            let address = if kind.by_account { format!("203.0.113.{}", n % 8) } else { ONE.to_owned() };
            let request = (kind.open)(&pds, actor, &address);
            let (answer, mut body) = stalled.open(request, is_read).await;
            if !is_read {
                body.send_data(Bytes::from_static(b"a"), false).unwrap();
            }
            held.push((answer, body));
            until(kind.name, || (kind.taken)(&pds) > n).await;
        }
        let (last, bob) = (&others[others.len() - 1], pds.account(&format!("bob{}", kind.share)).await);
        if kind.by_account {
            assert!(!gets_one(&kind, &pds, &alice, OTHER).await, "{}: more than the account's share", kind.name);
            assert!(gets_one(&kind, &pds, last, OTHER).await, "{}: another account", kind.name);
        } else {
            assert!(!gets_one(&kind, &pds, &bob, ONE).await, "{}: more than the address's share", kind.name);
            assert!(gets_one(&kind, &pds, &bob, OTHER).await, "{}: another address", kind.name);
        }
        drop((held, stalled));
        until("the places are given back", || (kind.taken)(&pds) == 0).await;
        assert!(gets_one(&kind, &pds, &bob, ONE).await, "{}: again", kind.name);
    }
}

#[tokio::test]
async fn searches_for_blocks_have_their_share_too() {
    let pds = TestPds::start().await;
    let (alice, bob) = (pds.account("alice").await, pds.account("bob").await);
    let unknown = Cid::for_cbor(b"unknown");
    let url = format!("{}/xrpc/com.atproto.sync.getBlocks?did={}&cids={unknown}", pds.url(), alice.did);
    let ask = |actor: &Actor, address: &str| {
        let call = pds.xrpc_get("com.atproto.sync.getBlocks").param("did", &actor.did).param("cids", unknown);
        call.header("x-forwarded-for", address)
    };
    // A search begins when nobody writes to the repository.
    let turn = repos::turn(pds.app(), &alice.did).await.unwrap();
    let stalled = Stalled::connect(&pds).await;
    let mut held = Vec::new();
    for n in 0..limits::BLOCK_SEARCHES_PER_CALLER_MAX {
        let request = Request::get(&url).header("x-forwarded-for", ONE).body(()).unwrap();
        held.push(stalled.open(request, true).await);
        until("a search waits", || pds.app().repos.exports() > n).await;
    }
    assert_eq!(ask(&bob, ONE).error().await.1, "RateLimitExceeded");
    assert_eq!(ask(&bob, OTHER).error().await.1, "BlockNotFound");
    drop(turn);
    until("the searches end", || pds.app().repos.exports() == 0).await;
    assert_eq!(ask(&alice, ONE).error().await.1, "BlockNotFound");
}
