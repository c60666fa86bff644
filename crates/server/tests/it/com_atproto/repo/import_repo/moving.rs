//! What is taken, and what the repository is then.

use std::time::Duration;

use allod_atproto::{Tid, car, cbor, frame::Message, repo::SignedCommit};
use allod_server::domain::keys::Purpose;
use allod_store::{ConflictKey, Txn, sql, tables::signing_keys};
use allod_testkit::TestPds;
use serde_json::json;

use super::{
    super::{POSTS, create_post, key_of, latest, post, write},
    Made, Mover, check_commit, check_nothing_left, count, import, made, nobodys_sets, now_rev, text,
};
use crate::{
    elsewhere::{Resident, directory, key},
    seen::refusal,
};

const LIKES: &str = "app.bsky.feed.like";
const FOLLOWS: &str = "app.bsky.graph.follow";
const HOUR: Duration = Duration::from_hours(1);

#[tokio::test]
async fn a_repository_moves_from_one_server_to_another() {
    let old = TestPds::start().await;
    let alice = old.account("alice").await;
    for text in ["one", "two", "three"] {
        create_post(&old, &alice, text).await;
    }
    let follow = json!({ "$type": FOLLOWS, "subject": "did:plc:aaaaaaaaaaaaaaaaaaaaaaaa", "createdAt": "2026-11-25T12:00:00.000Z" });
    write(&old, &alice, super::super::CREATE, json!({ "collection": FOLLOWS, "record": follow })).ok().await;
    let there = old.xrpc_get("com.atproto.sync.getRepo").param("did", &alice.did).send().await.body;

    let new = TestPds::options().seed(2).start().await;
    let genesis = directory(&old).last_operation(&alice.did).await.unwrap().unwrap();
    directory(&new).submit(&alice.did, &genesis).await.unwrap();
    let wrapped = signing_keys::by_did(&*old.app().db, &alice.did).await.unwrap().unwrap().wrapped;
    let signing = old.app().keyring.unwrap(&wrapped, Purpose::Signing(&alice.did)).unwrap();
    let rotation = key(allod_atproto::crypto::Curve::K256, 1);
    let mover = Mover::moved(&new, Resident { did: alice.did.clone(), rotation, signing, last: genesis }).await;

    let shown = mover.imported(&new, there.clone()).await;
    let before = made::Shown::read(&there);
    assert_eq!((&shown.entries, shown.blocks), (&before.entries, before.blocks));
    assert_eq!(shown.commit.commit().data, before.commit.commit().data);
    check_commit(&new, &alice.did, &shown.commit, &before.commit.commit().rev).await;
    assert!(new.events().await.is_empty(), "nobody is told of an account that is deactivated");

    let announced = mover.activate(&new).await;
    assert_eq!(announced.commit().data, shown.commit.commit().data);
    check_commit(&new, &alice.did, &announced, &shown.commit.commit().rev).await;
    let told: Vec<_> = new.events().await.into_iter().map(|(_, frame)| frame.message).collect();
    let [Message::Account(active), Message::Identity(identity), Message::Sync(sync)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((&active.did, active.active, &active.status), (&alice.did, true, &None));
    assert_eq!((&identity.did, identity.handle.as_ref().unwrap().as_str()), (&alice.did, "mover.test"));
    assert_eq!((&sync.did, sync.rev), (&alice.did, announced.commit().rev));

    let actor = allod_testkit::Actor { access: mover.access.clone(), ..alice };
    assert_eq!(latest(&new, &actor).await.0, announced.cid().to_string());
    let described = new.xrpc_get("com.atproto.repo.describeRepo").param("repo", &actor.did).ok().await;
    assert_eq!(described["collections"], json!([POSTS, FOLLOWS]));
    let list = new.xrpc_get(super::super::LIST).param("repo", &actor.did).param("collection", POSTS).ok().await;
    assert_eq!(list["records"].as_array().unwrap().len(), 3);
    assert_eq!(list["records"][2]["value"], post("one"));

    // Writing goes on where the import ended; following the same once more replaces the record that came along.
    let again =
        write(&new, &actor, super::super::CREATE, json!({ "collection": FOLLOWS, "record": follow })).ok().await;
    let list = new.xrpc_get(super::super::LIST).param("repo", &actor.did).param("collection", FOLLOWS).ok().await;
    assert_eq!(list["records"].as_array().unwrap().len(), 1);
    assert_eq!(key_of(&list["records"][0]), key_of(&again));
    let events = new.events().await;
    let [_, _, _, (_, frame)] = events.as_slice() else { panic!("{events:?}") };
    let Message::Commit(commit) = &frame.message else { panic!("{frame:?}") };
    assert_eq!(commit.since, Some(announced.commit().rev));
    assert_eq!(commit.prev_data, Some(shown.commit.commit().data));
}

#[tokio::test]
async fn blocks_come_in_any_order_twice_and_with_strangers() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    // Portions are of 500 records.
    let made = mover.made(1203);
    let commit = made.commit(&mover.resident.signing, now_rev(&pds));
    let mut blocks = made.blocks(&commit);
    let other = mover.made(3).blocks(&mover.made(3).commit(&mover.resident.signing, now_rev(&pds)));
    blocks.extend(other);
    blocks.extend(blocks.clone());
    blocks.push((allod_atproto::Cid::for_raw(b"a blob"), b"a blob".to_vec()));
    blocks.push((allod_atproto::Cid::for_raw(b""), Vec::new()));
    blocks.sort_by_key(|(cid, _)| cid.digest()[7]);
    assert_ne!(blocks[0].0, commit.cid());

    let shown = mover.imported(&pds, made::file(&commit.cid(), &blocks)).await;
    assert_eq!(shown.entries, made.entries());
    assert_eq!(shown.blocks, made.blocks(&commit).len(), "what does not belong there is dropped");
    check_commit(&pds, mover.did(), &shown.commit, &commit.commit().rev).await;

    let in_order = mover.imported(&pds, made.file(&commit)).await;
    assert_eq!(in_order.commit.commit().data, shown.commit.commit().data);
    assert!(in_order.commit.commit().rev > shown.commit.commit().rev, "the revision ascends for ever");

    assert_eq!(nobodys_sets(&pds).await, 2, "those replaced are kept for readers");
    pds.do_jobs().await;
    assert_eq!(nobodys_sets(&pds).await, 2);
    pds.advance(HOUR);
    pds.do_jobs().await;
    check_nothing_left(&pds).await;
    assert_eq!(mover.shown(&pds).await.bytes, in_order.bytes);
}

#[tokio::test]
async fn an_empty_repository_is_one() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    mover.imported(&pds, mover.file(&pds, &mover.made(5))).await;
    let shown = mover.imported(&pds, mover.file(&pds, &mover.made(0))).await;
    assert_eq!((shown.entries.len(), shown.blocks), (0, 2));
}

#[tokio::test]
async fn what_the_repository_has_need_not_come_again() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let before = mover.made(900);
    mover.imported(&pds, mover.file(&pds, &before)).await;
    let mut after = before.clone();
    after.put("com.example.note/00100", &json!({ "n": "changed" })).put("com.example.zzz/new", &json!({ "n": 1 }));
    after.remove("com.example.note/00500");
    let commit = after.commit(&mover.resident.signing, now_rev(&pds));
    let known = before.blocks(&before.commit(&mover.resident.signing, now_rev(&pds)));
    let mut blocks = after.blocks(&commit);
    blocks.retain(|block| !known.contains(block));
    assert!(blocks.len() < 30, "{}", blocks.len());

    let shown = mover.imported(&pds, made::file(&commit.cid(), &blocks)).await;
    assert_eq!(shown.entries, after.entries());
    assert_eq!(shown.blocks, after.blocks(&commit).len());

    // What neither has is still missing.
    let mut further = after.clone();
    further.put("com.example.zzz/newer", &json!({ "n": 2 }));
    let commit = further.commit(&mover.resident.signing, now_rev(&pds));
    let node = further.nodes().into_iter().find(|node| !after.nodes().contains(node)).unwrap();
    let without_node: Vec<_> = further.blocks(&commit).into_iter().filter(|block| *block != node).collect();
    let refused = mover.import(&pds, made::file(&commit.cid(), &without_node)).error().await;
    let message = format!("The file is incomplete: the block {} is missing", node.0);
    assert_eq!(refused, refusal(400, "InvalidRequest", &message));
    assert_eq!(mover.shown(&pds).await.bytes, shown.bytes);
}

#[tokio::test]
async fn an_active_account_tells_what_its_repository_is_now() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    mover.activate(&pds).await;
    let told = pds.events().await.len();
    let mut made = mover.made(2);
    made.put(&format!("{LIKES}/a"), &json!({ "$type": LIKES, "subject": { "uri": "at://did:plc:a/b/c", "cid": "x" } }));
    let shown = mover.imported(&pds, mover.file(&pds, &made)).await;
    let events = pds.events().await;
    let [(_, frame)] = &events[told..] else { panic!("{events:?}") };
    let Message::Sync(sync) = &frame.message else { panic!("{frame:?}") };
    let car = car::read(&sync.blocks, &car::Limits::COMMIT).unwrap();
    let commit = SignedCommit::parse(car.get(&car.root().unwrap()).unwrap()).unwrap();
    assert_eq!((&sync.did, sync.rev, &commit), (mover.did(), shown.commit.commit().rev, &shown.commit));
    check_commit(&pds, mover.did(), &commit, &Tid::from_parts(0, 0)).await;
    assert_eq!(count(&pds, sql!("SELECT count(*) FROM backlinks WHERE subject = 'at://did:plc:a/b/c'")).await, 1);

    let next = mover.imported(&pds, mover.file(&pds, &mover.made(1))).await;
    assert_eq!(pds.events().await.len(), told + 2);
    let described = pds.xrpc_get("com.atproto.repo.describeRepo").param("repo", mover.did()).ok().await;
    assert_eq!(described["collections"], json!(["com.example.note"]), "what is gone is gone");
    assert_eq!(next.entries.len(), 1);
}

#[tokio::test]
async fn blobs_may_come_later() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let cid = "bafkreiccldh766hwcnuxnf2wh6jgzepf2nlu2lvcllt63eww5p6chi4ity";
    let mut made = mover.made(1);
    let blob = json!({ "$type": "blob", "ref": { "$link": cid }, "mimeType": "image/png", "size": 5 });
    made.put("com.example.picture/a", &json!({ "image": blob }));
    made.put("com.example.picture/b", &json!({ "image": { "cid": cid, "mimeType": "image/png" } }));
    mover.imported(&pds, mover.file(&pds, &made)).await;
    assert_eq!(count(&pds, sql!("SELECT count(*) FROM record_blobs")).await, 2);
}

#[tokio::test]
async fn a_takedown_outlives_an_import() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    mover.imported(&pds, mover.file(&pds, &mover.made(3))).await;
    mover.activate(&pds).await;
    let mut txn = Txn::new();
    let path = "com.example.note/00001";
    txn.expect(
        ConflictKey::Test("there"),
        1,
        sql!("UPDATE records SET takedown_ref = 'a-report' WHERE path = $1", path),
    );
    pds.app().db.commit(txn).await.unwrap();
    let mut made = mover.made(4);
    made.put(path, &json!({ "n": "the same in other words" }));
    mover.imported(&pds, mover.file(&pds, &made)).await;
    let list = pds.xrpc_get(super::super::LIST).param("repo", mover.did()).param("collection", "com.example.note");
    let list = list.ok().await;
    let keys: Vec<_> = list["records"].as_array().unwrap().iter().map(|record| text(&record["uri"])).collect();
    assert_eq!(keys.len(), 3, "{keys:?}");
    assert!(!keys.iter().any(|uri| uri.ends_with("00001")));
}

#[tokio::test]
async fn is_signed_by_a_key_the_account_has_or_had() {
    let pds = TestPds::start().await;
    let mut mover = Mover::new(&pds).await;
    let made = mover.made(3);
    let old = made.file(&made.commit(&mover.resident.signing, now_rev(&pds)));
    let shown = mover.imported(&pds, old.clone()).await;
    mover.imported(&pds, shown.bytes.clone()).await;

    // The identity has moved: the document's key is this server's now.
    let ours = signing_keys::by_did(&*pds.app().db, mover.did()).await.unwrap().unwrap().did_key;
    let operation = mover.resident.move_here(&pds, "mover.test", &ours).sign(&mover.resident.rotation);
    mover.resident.publish(&pds, &operation).await;
    mover.imported(&pds, old).await;
    mover.imported(&pds, shown.bytes).await;

    let never = key(allod_atproto::crypto::Curve::K256, 99);
    let refused = mover.import(&pds, made.file(&made.commit(&never, now_rev(&pds)))).error().await;
    assert_eq!(refused, refusal(400, "InvalidRequest", "The commit's signature is not the account's"));
    mover.resident.last = operation;
}

#[tokio::test]
async fn records_need_no_type_and_no_lexicon() {
    let pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let mut made = Made::new(mover.did());
    made.put(&format!("{POSTS}/a"), &json!({})).put(&format!("{POSTS}/b"), &json!({ "$type": "com.example.other" }));
    let odd: cbor::Map = [("$type".to_owned(), 7.into()), ("large".to_owned(), i64::MAX.into())].into_iter().collect();
    made.put_block("com.example.x/self", cbor::encode(&odd.into()));
    let shown = mover.imported(&pds, mover.file(&pds, &made)).await;
    assert_eq!(shown.entries, made.entries());
}

#[tokio::test]
async fn the_repository_survives_a_restart() {
    let mut pds = TestPds::start().await;
    let mover = Mover::new(&pds).await;
    let shown = mover.imported(&pds, mover.file(&pds, &mover.made(1001))).await;
    pds.crash().await;
    assert_eq!(mover.shown(&pds).await.bytes, shown.bytes);
    mover.activate(&pds).await;
    let actor = pds.account("bob").await;
    let refused = import(&pds, &actor.access, shown.bytes).error().await;
    let message = format!("The repository is that of {}, not of {}", mover.did(), actor.did);
    assert_eq!(refused, refusal(400, "InvalidRequest", &message));
    assert!(latest(&pds, &actor).await.1.len() == 13);
}
