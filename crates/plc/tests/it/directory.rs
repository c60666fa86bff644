//! Histories over HTTP, and what the directory answers to everything else.

use std::{sync::Arc, time::Duration};

use allod_atproto::{Did, plc::Operation};
use allod_plc::{directory::Directory, limits::StreamLimits, rules::verify_audit_log};
use allod_store::{
    Db,
    fault::{Fault, Faulty},
    sqlite::{self, SqliteOptions},
};

use tokio::{io::AsyncWriteExt as _, net::TcpStream};

use crate::history::Owner;
use crate::running::{Running, message, read_json};

const HOUR_MILLIS: i64 = 3_600_000;

/// A client that asks and takes nothing must not keep its connection.
#[tokio::test]
async fn a_client_that_takes_no_answer_loses_its_connection() {
    let limits = StreamLimits { answer_time_max: Duration::from_millis(200), ..StreamLimits::default() };
    let plc = Running::start_with(|db| db, limits).await;
    for n in 0..50 {
        let (did, genesis) = Owner::new(&format!("owner{n}")).genesis();
        plc.client.submit(&did, &genesis).await.unwrap();
    }
    #[expect(clippy::disallowed_methods, reason = "the address is the test's own")]
    let mut client = TcpStream::connect(("127.0.0.1", plc.url.port().unwrap())).await.unwrap();
    let asking = async { while client.write_all(b"GET /export HTTP/1.1\r\nhost: a\r\n\r\n").await.is_ok() {} };
    assert!(tokio::time::timeout(Duration::from_secs(20), asking).await.is_ok(), "it is kept");
}

#[tokio::test]
async fn the_life_of_a_did() {
    let plc = Running::start().await;
    let owner = Owner::new("alice");
    let (did, genesis) = owner.genesis();
    assert_eq!(plc.client.document(&did).await, Ok(None));
    plc.client.submit(&did, &genesis).await.unwrap();

    let document = plc.client.document(&did).await.unwrap().unwrap();
    assert_eq!(document["id"], did.as_str());
    assert_eq!(document["alsoKnownAs"], serde_json::json!(["at://alice.test"]));
    let (status, kind, text) = plc.get(did.as_str()).await;
    assert_eq!((status, kind.as_str()), (200, "application/did+ld+json; charset=utf-8"));
    assert_eq!(read_json(&text), document);
    // Clients may encode the colons.
    assert_eq!(plc.get_json(&did.as_str().replace(':', "%3A")).await, document);

    let data = plc.get_json(&format!("{did}/data")).await;
    assert_eq!(data["did"], did.as_str());
    assert_eq!(data["rotationKeys"], genesis.to_json()["rotationKeys"]);
    assert_eq!(plc.client.data(&did).await.unwrap(), genesis.data());
    assert_eq!(plc.client.last_operation(&did).await.unwrap(), Some(genesis.clone()));

    plc.advance_millis(1000);
    let update = owner.update(Some(genesis.cid()), 1, "new.");
    assert_eq!(plc.post(&did, &update).await, (200, "OK".to_owned()));
    assert_eq!(plc.get_json(did.as_str()).await["alsoKnownAs"][0], "at://new.alice.test");
    let log = plc.get_json(&format!("{did}/log")).await;
    assert_eq!(log, serde_json::json!([genesis.to_json(), update.to_json()]));

    plc.advance_millis(1000);
    plc.client.submit(&did, &owner.tombstone(update.cid(), 1)).await.unwrap();
    for path in [did.to_string(), format!("{did}/data")] {
        let (status, _, body) = plc.get(&path).await;
        assert_eq!((status, message(&body)), (404, format!("DID not available: {did}")));
    }
    assert_eq!(plc.get_json(&format!("{did}/log/last")).await["type"], "plc_tombstone");
    assert_eq!(plc.client.document(&did).await, Ok(None));
    assert_eq!(plc.client.data(&did).await, Ok(None));

    plc.advance_millis(HOUR_MILLIS);
    let fork = owner.update(Some(genesis.cid()), 0, "back.");
    plc.client.submit(&did, &fork).await.unwrap();
    assert_eq!(plc.get_json(did.as_str()).await["alsoKnownAs"][0], "at://back.alice.test");
    let audit = plc.client.audit_log(&did).await.unwrap().unwrap();
    let fates: Vec<bool> = audit.iter().map(|entry| entry.nullified).collect();
    assert_eq!(fates, [false, true, true, false]);
    assert_eq!(verify_audit_log(&did, &audit).unwrap().data, fork.data());
    assert_eq!(plc.get_json(&format!("{did}/log")).await, serde_json::json!([genesis.to_json(), fork.to_json()]));
    let entry = &plc.get_json(&format!("{did}/log/audit")).await[0];
    assert_eq!(entry["createdAt"], "2026-05-28T20:26:40.000Z");
    let fields: Vec<&String> = entry.as_object().unwrap().keys().collect();
    assert_eq!(fields, ["did", "operation", "cid", "nullified", "createdAt"]);
    plc.stop().await;
}

#[tokio::test]
async fn the_window_closes_with_the_clock() {
    let plc = Running::start().await;
    let owner = Owner::new("alice");
    let (did, genesis) = owner.genesis();
    plc.client.submit(&did, &genesis).await.unwrap();
    plc.advance_millis(1);
    plc.client.submit(&did, &owner.update(Some(genesis.cid()), 2, "a.")).await.unwrap();
    plc.advance_millis(72 * HOUR_MILLIS + 1);
    let fork = owner.update(Some(genesis.cid()), 0, "b.");
    let (status, body) = plc.post(&did, &fork).await;
    assert_eq!(status, 400);
    assert!(message(&body).contains("72 hr recovery window"), "{body}");
    plc.advance_millis(-1);
    assert_eq!(plc.post(&did, &fork).await.0, 200);
}

#[tokio::test]
async fn a_did_is_rate_limited() {
    let plc = Running::start().await;
    let owner = Owner::new("alice");
    let (did, mut last) = owner.genesis();
    plc.client.submit(&did, &last).await.unwrap();
    for n in 1..10 {
        last = owner.update(Some(last.cid()), 1, &format!("a{n}."));
        assert_eq!(plc.post(&did, &last).await.0, 200, "{n}");
    }
    let next = owner.update(Some(last.cid()), 1, "b.");
    let (status, body) = plc.post(&did, &next).await;
    assert_eq!((status, message(&body).as_str()), (400, "Too many operations within last hour (max 10)"));
    plc.advance_millis(HOUR_MILLIS);
    assert_eq!(plc.post(&did, &next).await.0, 200);
    // The clock stood still all the while: times increase all the same.
    let audit = plc.client.audit_log(&did).await.unwrap().unwrap();
    assert!(audit.windows(2).all(|pair| pair[0].created_at_millis < pair[1].created_at_millis));
    verify_audit_log(&did, &audit).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_conflicting_operations_one_wins() {
    const RIVALS: usize = 20;
    let plc = Running::start().await;
    let owner = Owner::new("alice");
    let (did, genesis) = owner.genesis();
    let same: Vec<Operation> = vec![genesis.clone(); RIVALS];
    assert_eq!(winners(&plc, &did, same).await, 1);
    plc.advance_millis(1000);
    let rivals = (0..RIVALS).map(|n| owner.update(Some(genesis.cid()), 1, &format!("r{n}."))).collect();
    assert_eq!(winners(&plc, &did, rivals).await, 1);
    // Each key may undo what a weaker one did, so of these up to three pass one after another, and the last has key 0.
    let head = plc.client.last_operation(&did).await.unwrap().unwrap().cid();
    plc.advance_millis(1000);
    let rivals = (0..RIVALS).map(|n| owner.update(Some(head), n % 3, &format!("k{n}."))).collect();
    assert!((1..=3).contains(&winners(&plc, &did, rivals).await));
    let audit = plc.client.audit_log(&did).await.unwrap().unwrap();
    let state = verify_audit_log(&did, &audit).unwrap();
    assert_eq!(audit.iter().filter(|entry| !entry.nullified).count(), 3);
    let last = audit.last().unwrap();
    assert_eq!((state.head, last.operation.verify_signature(&[owner.keys[0].did_key()])), (last.cid, Ok(0)));
}

async fn winners(plc: &Running, did: &Did, operations: Vec<Operation>) -> usize {
    let posts = operations.into_iter().map(|operation| {
        let request = plc.http.post(plc.at(did.as_str())).json(&operation.to_json());
        tokio::spawn(async move { request.send().await.unwrap().status().as_u16() })
    });
    let posts: Vec<_> = posts.collect();
    let mut won = 0;
    for post in posts {
        match post.await.unwrap() {
            200 => won += 1,
            status => assert!(matches!(status, 400 | 409), "{status}"),
        }
    }
    won
}

#[tokio::test]
async fn what_is_no_operation_is_refused() {
    let plc = Running::start().await;
    let (did, genesis) = Owner::new("alice").genesis();
    let json = genesis.to_json();
    let mut unsigned = json.clone();
    unsigned["alsoKnownAs"] = serde_json::json!(["at://mallory.test"]);
    let legacy = serde_json::json!({
        "type": "create", "signingKey": json["rotationKeys"][0], "recoveryKey": json["rotationKeys"][1],
        "handle": "a.test", "service": "https://pds.test", "prev": null, "sig": json["sig"],
    });
    let bodies: [(u16, Vec<u8>); 9] = [
        (400, Vec::new()),
        (400, b"{".to_vec()),
        (400, b"[]".to_vec()),
        (400, b"\xff\xfe".to_vec()),
        (400, "[".repeat(20_000).into_bytes()),
        (400, unsigned.to_string().into_bytes()),
        (400, legacy.to_string().into_bytes()),
        (400, json.to_string().replace("\"prev\":null", "\"prev\":\"x\"").into_bytes()),
        (413, vec![b' '; 40_000]),
    ];
    for (expected, body) in bodies {
        let shown = String::from_utf8_lossy(&body[..body.len().min(60)]).into_owned();
        let response = plc.http.post(plc.at(did.as_str())).body(body).send().await.unwrap();
        let status = response.status().as_u16();
        let text = response.text().await.unwrap();
        assert_eq!(status, expected, "{shown}: {text}");
        assert!(!message(&text).is_empty());
    }
    let other = Did::parse("did:plc:aaaaaaaaaaaaaaaaaaaaaaaa").unwrap();
    let (status, body) = plc.post(&other, &genesis).await;
    assert_eq!(status, 400);
    assert_eq!(message(&body), format!("Hash of genesis operation does not match DID identifier: {did}"));
    let (status, body) = plc.post(&Did::parse("did:web:a.test").unwrap(), &genesis).await;
    assert_eq!((status, message(&body).as_str()), (400, "Invalid did:plc identifier"));
    assert_eq!(plc.client.audit_log(&did).await, Ok(None));
    // After all that, the operation itself is taken.
    assert_eq!(plc.post(&did, &genesis).await.0, 200);
}

#[tokio::test]
async fn other_paths_and_methods() {
    let plc = Running::start().await;
    let did = "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa";
    for path in [
        did.to_owned(),
        format!("{did}/data"),
        format!("{did}/log"),
        format!("{did}/log/audit"),
        format!("{did}/log/last"),
    ] {
        let (status, kind, body) = plc.get(&path).await;
        assert_eq!((status, kind.as_str()), (404, "application/json; charset=utf-8"), "{path}");
        assert_eq!(message(&body), format!("DID not registered: {did}"));
    }
    for path in ["nonsense", "did:web:a.test", "%ff%fe", "did:plc:AAAAAAAAAAAAAAAAAAAAAAAA", "a/b/c/d", ""] {
        let (status, _, body) = plc.get(path).await;
        assert!(matches!(status, 400 | 404), "{path}: {status}");
        assert!(!message(&body).is_empty());
    }
    assert_eq!(plc.get_json("_health").await["version"], env!("CARGO_PKG_VERSION"));
    let put = plc.http.put(plc.at(did)).send().await.unwrap();
    assert_eq!(put.status(), 405);
    assert_eq!(message(&put.text().await.unwrap()), "Method not allowed");
    let preflight = plc.http.request(reqwest::Method::OPTIONS, plc.at(did)).send().await.unwrap();
    assert_eq!(preflight.status(), 204);
    assert_eq!(preflight.headers()["access-control-allow-origin"], "*");
    assert_eq!(preflight.headers()["access-control-allow-methods"], "GET,HEAD,POST");
    let head = plc.http.head(plc.at("_health")).send().await.unwrap();
    assert_eq!((head.status().as_u16(), head.text().await.unwrap().as_str()), (200, ""));
}

#[tokio::test]
async fn a_log_outlives_the_service() {
    let folder = tempfile::tempdir().unwrap();
    let owner = Owner::new("alice");
    let (did, genesis) = owner.genesis();
    for (run, operation) in [genesis.clone(), owner.update(Some(genesis.cid()), 2, "a.")].iter().enumerate() {
        let db = sqlite::open(SqliteOptions::new(folder.path().join("plc.sqlite"))).unwrap();
        // The clock is the same at both runs, and behind at the second.
        let clock = Arc::new(move || 1_780_000_000_000_000 - run as u64);
        let directory = Directory::start(Arc::clone(&db), clock).await.unwrap();
        directory.submit(&did, operation).await.unwrap();
        let log = directory.log(&did).await.unwrap();
        assert_eq!(log.len(), run + 1);
        verify_audit_log(&did, &log).unwrap();
        db.close().await;
    }
}

#[tokio::test]
async fn a_failing_store_is_told_as_such() {
    let mut faults = None;
    let wrap = |db| -> Db { Arc::clone(faults.insert(Faulty::new(db))) as Db };
    let plc = Running::start_with(wrap, StreamLimits::default()).await;
    let faults = faults.unwrap();
    let (did, genesis) = Owner::new("alice").genesis();
    for fault in [Fault::Fail, Fault::UnknownLost] {
        faults.at_commit(1, fault);
        assert_eq!(plc.post(&did, &genesis).await.0, 503, "{fault:?}");
        assert_eq!(plc.client.audit_log(&did).await, Ok(None), "{fault:?}");
    }
    for path in ["_health", did.as_str(), "export", "export?after=0"] {
        faults.at_read(1, Fault::Fail);
        assert_eq!(plc.get(path).await.0, 503, "{path}");
    }
    faults.at_read(1, Fault::Fail);
    assert_eq!(plc.post(&did, &genesis).await.0, 503);
    faults.at_commit(1, Fault::UnknownApplied);
    assert_eq!(plc.post(&did, &genesis).await.0, 503);
    // The commit whose outcome was unknown had been applied: the directory refuses what it has.
    assert_eq!(plc.get_json(&format!("{did}/log")).await, serde_json::json!([genesis.to_json()]));
    assert_eq!(plc.post(&did, &genesis).await.0, 400);
}
