//! Exports that last while something happens.

use allod_atproto::repo::Tree;
use allod_server::domain::{
    repos::{
        Reader, RepoError,
        export::{self, CarFile},
    },
    shares::Taker,
};
use allod_store::{ConflictKey, Txn, sql};
use allod_testkit::{Actor, TestPds};
use serde_json::json;

use super::{
    super::{File, apply, create, delete, fill, update},
    NSID,
};

const RECORDS: usize = 400;

async fn begin(pds: &TestPds, actor: &Actor, since: Option<&str>) -> CarFile {
    let since = since.map(|since| since.parse().unwrap());
    export::whole(pds.app(), &actor.did, &Reader::Public, &Taker::OPERATOR, since).await.unwrap()
}

/// Takes the rest of a file.
async fn rest(mut bytes: Vec<u8>, file: &mut CarFile) -> Result<Vec<u8>, RepoError> {
    while let Some(chunk) = file.next_chunk().await? {
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes)
}

/// Replaces, deletes and creates records all over the repository.
async fn write_everywhere(pds: &TestPds, actor: &Actor, round: usize) {
    let value = |n: usize| json!({ "n": n, "text": format!("round {round}") });
    let updates = (0..RECORDS).step_by(7).map(|n| update(&format!("r{n:04}"), &value(n)));
    let creates = (0..RECORDS).step_by(11).map(|n| create(&format!("r{n:04}-{round}"), &value(n)));
    let mut writes: Vec<_> = updates.chain(creates).collect();
    if round == 0 {
        writes.extend((1..RECORDS).step_by(7).map(|n| delete(&format!("r{n:04}"))));
    }
    apply(pds, actor, &writes).await;
}

#[tokio::test]
async fn is_what_it_was_at_its_beginning_whatever_is_written() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice, 50, 100).await;
    let early = pds.xrpc_get("com.atproto.sync.getLatestCommit").param("did", &alice.did).ok().await;
    let early = early["rev"].as_str().unwrap().to_owned();
    let writes: Vec<_> =
        (50..RECORDS).map(|n| create(&format!("r{n:04}"), &json!({ "n": n, "text": "x".repeat(2_000) }))).collect();
    for writes in writes.chunks(50) {
        apply(&pds, &alice, writes).await;
    }
    for since in [None, Some(early.as_str())] {
        let call = pds.xrpc_get(NSID).param("did", &alice.did);
        let call = if let Some(since) = since { call.param("since", since) } else { call };
        let before = call.send().await.body;
        let mut file = begin(&pds, &alice, since).await;
        // Before anything was read, and between reads.
        write_everywhere(&pds, &alice, 0).await;
        let mut bytes = file.next_chunk().await.unwrap().unwrap().to_vec();
        write_everywhere(&pds, &alice, 1).await;
        bytes.extend_from_slice(&file.next_chunk().await.unwrap().unwrap());
        write_everywhere(&pds, &alice, 2).await;
        assert_eq!(rest(bytes, &mut file).await.unwrap(), before, "since {since:?}");
        if since.is_none() {
            // Puts back what the second pass wants to delete, and takes away what it wants to create.
            let back: Vec<_> = (1..RECORDS)
                .step_by(7)
                .map(|n| create(&format!("r{n:04}"), &json!({ "n": n, "text": "y".repeat(2_000) })))
                .collect();
            apply(&pds, &alice, &back).await;
            for round in 0..3 {
                let gone: Vec<_> = (0..RECORDS).step_by(11).map(|n| delete(&format!("r{n:04}-{round}"))).collect();
                apply(&pds, &alice, &gone).await;
            }
        }
    }
}

#[tokio::test]
async fn writes_go_on_beside_exports_over_http() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice, 200, 1_000).await;
    let writes = async {
        for round in 0..20 {
            let value = json!({ "n": round, "text": "z" });
            let writes: Vec<_> =
                (0..200).step_by(9).map(|n| update(&format!("r{n:04}"), &json!({ "n": n, "v": value }))).collect();
            apply(&pds, &alice, &writes).await;
        }
    };
    let reads = async {
        for _ in 0..20 {
            let file = File::of(&pds.xrpc_get(NSID).param("did", &alice.did).send().await);
            let (car, commit) = (file.car(), file.commit(&pds, &alice.did).await);
            let tree = Tree::from_blocks(&commit.commit().data, |cid| car.get(cid)).unwrap();
            assert!(tree.entries().all(|(_, cid)| car.get(&cid).is_some()));
            assert_eq!(tree.len(), 200);
        }
    };
    futures_util::future::join(writes, reads).await;
}

#[tokio::test]
async fn is_cut_off_when_its_records_go() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    fill(&pds, &alice, RECORDS, 2_000).await;
    let since = "2222222222222";
    for since in [None, Some(since)] {
        let mut file = begin(&pds, &alice, since).await;
        file.next_chunk().await.unwrap();
        // As an import leaves it: another set is the repository's, and a job takes the old one away.
        let set = |from: &str| match from {
            "old" => sql!("UPDATE repos SET record_set = record_set + 1 WHERE did = $1", alice.did.as_str()),
            _ => sql!("UPDATE repos SET record_set = record_set - 1 WHERE did = $1", alice.did.as_str()),
        };
        let mut txn = Txn::new();
        txn.run(set("old"));
        txn.run(sql!("UPDATE records SET record_set = -1 WHERE path > 'com.example.note/r0300'"));
        pds.app().db.commit(txn).await.unwrap();
        let error = rest(Vec::new(), &mut file).await.unwrap_err();
        assert!(matches!(error, RepoError::Overtaken(_)), "{error}");
        let mut txn = Txn::new();
        txn.run(set("new"));
        txn.run(sql!(
            "UPDATE records SET record_set = (SELECT record_set FROM repos WHERE did = $1) WHERE record_set = -1",
            alice.did.as_str()
        ));
        pds.app().db.commit(txn).await.unwrap();
    }
    let mut file = begin(&pds, &alice, None).await;
    rest(Vec::new(), &mut file).await.unwrap();
}

#[tokio::test]
async fn a_damaged_repository_is_not_shown_as_a_whole_one() {
    let pds = TestPds::start().await;
    pds.arranges_the_impossible();
    let alice = pds.account("alice").await;
    fill(&pds, &alice, RECORDS, 2_000).await;
    let remove = async |path: &str| {
        let mut txn = Txn::new();
        txn.expect(ConflictKey::Test("there"), 1, sql!("DELETE FROM records WHERE path = $1", path));
        pds.app().db.commit(txn).await.unwrap();
    };
    remove("com.example.note/r0399").await;
    let cut = pds.xrpc_get(NSID).param("did", &alice.did).try_send().await;
    assert!(cut.is_err(), "the answer ends in its middle");
    let errors = pds.logged_errors();
    assert!(
        errors.iter().any(|error| error.contains("com.example.note/r0399") && error.contains("it is missing")),
        "{errors:?}"
    );
    remove("com.example.note/r0000").await;
    crate::seen::told_to_come_back(&pds.xrpc_get(NSID).param("did", &alice.did).send().await);
    assert_eq!(pds.logged_errors().len(), 1);
}

#[tokio::test]
async fn more_readers_than_are_allowed_come_back_later() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let mut held = Vec::new();
    for _ in 0..allod_server::limits::SNAPSHOTS_MAX {
        held.push(begin(&pds, &alice, None).await);
    }
    let reply = pds.xrpc_get(NSID).param("did", &alice.did).send().await;
    assert_eq!((reply.status.as_u16(), reply.json()["error"].as_str()), (503, Some("NotEnoughResources")));
    assert!(reply.headers.contains_key("retry-after"));
    held.pop();
    assert_eq!(pds.xrpc_get(NSID).param("did", &alice.did).send().await.status.as_u16(), 200);
}

#[tokio::test]
async fn one_who_would_need_too_much_kept_is_cut_off() {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let value = |n: usize, letter: &str| json!({ "n": n, "text": letter.repeat(900_000) });
    for n in 0..3 {
        apply(&pds, &alice, &[create(&format!("r{n}"), &value(n, "x"))]).await;
    }
    let bytes_max = allod_server::limits::SNAPSHOTS_REPLACED_BYTES_MAX;
    // All of them keep the last record.
    let mut held = Vec::new();
    for _ in 0..=bytes_max / 900_000 {
        held.push(begin(&pds, &alice, None).await);
    }
    apply(&pds, &alice, &[update("r2", &value(2, "y"))]).await;
    let (mut whole, mut cut) = (0, 0);
    for file in &mut held {
        match rest(Vec::new(), file).await {
            Ok(_) => whole += 1,
            Err(RepoError::Overtaken(_)) => cut += 1,
            Err(other) => panic!("{other}"),
        }
    }
    assert!(whole >= bytes_max / 1_000_000 && cut >= 1, "{whole} whole, {cut} cut off");
    drop(held);
    // What was kept for them is given back.
    let mut file = begin(&pds, &alice, None).await;
    apply(&pds, &alice, &[update("r2", &value(2, "z"))]).await;
    rest(Vec::new(), &mut file).await.unwrap();
}
