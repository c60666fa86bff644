//! Random histories: what is exported is what was written, and what came since makes an older export the newer.

use std::collections::{BTreeMap, BTreeSet};

use allod_atproto::{
    Cid, Tid, cbor,
    repo::{Step, Tree},
};
use allod_testkit::{Actor, TestPds};
use serde_json::{Value, json};

use super::{
    super::{File, NOTES, apply, create, delete, update},
    NSID,
};

/// What a repository must have: for each key the number in its record and the revision that wrote it.
type Model = BTreeMap<String, (i64, String)>;

/// Numbers that look random, the same for a seed every time.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % bound
    }
}

async fn export(pds: &TestPds, actor: &Actor, since: Option<&str>) -> File {
    let call = pds.xrpc_get(NSID).param("did", &actor.did);
    let call = if let Some(since) = since { call.param("since", since) } else { call };
    File::of(&call.send().await)
}

/// Writes a few records at random, each at most once.
async fn write_some(pds: &TestPds, actor: &Actor, model: &mut Model, numbers: &mut Numbers, next: &mut i64) -> String {
    let keys: BTreeSet<String> = (0..=numbers.below(12)).map(|_| format!("k{}", numbers.below(60))).collect();
    let mut writes = Vec::new();
    for key in &keys {
        *next += 1;
        let value = json!({ "n": *next });
        writes.push(match model.contains_key(key) {
            false => create(key, &value),
            true if numbers.below(2) == 0 => update(key, &value),
            true => delete(key),
        });
    }
    let rev = apply(pds, actor, &writes).await;
    for (key, write) in keys.into_iter().zip(writes) {
        match write["value"]["n"].as_i64() {
            Some(n) => model.insert(key, (n, rev.clone())),
            None => model.remove(&key),
        };
    }
    rev
}

fn number(block: &[u8]) -> i64 {
    cbor::decode(block).unwrap().get("n").unwrap().as_integer().unwrap()
}

async fn follow(seed: u64) {
    let pds = TestPds::start().await;
    let alice = pds.account("alice").await;
    let (mut model, mut numbers, mut next) = (Model::new(), Numbers(seed), 0);
    let mut older: Vec<(String, File)> = Vec::new();
    for _ in 0..12 {
        let rev = write_some(&pds, &alice, &mut model, &mut numbers, &mut next).await;
        let file = export(&pds, &alice, None).await;
        let (car, commit) = (file.car(), file.commit(&pds, &alice.did).await);
        assert_eq!(commit.commit().rev.as_str(), rev);
        let tree = Tree::from_blocks(&commit.commit().data, |cid| car.get(cid)).unwrap();
        let found: Vec<(String, i64)> =
            tree.entries().map(|(key, cid)| (key.to_string(), number(car.get(&cid).unwrap()))).collect();
        let expected: Vec<(String, i64)> = model.iter().map(|(key, (n, _))| (format!("{NOTES}/{key}"), *n)).collect();
        assert_eq!(found, expected);

        for (since, old) in &older {
            let part = export(&pds, &alice, Some(since)).await;
            let (part_car, old_car) = (part.car(), old.car());
            assert_eq!(part.commit(&pds, &alice.did).await.cid(), commit.cid());
            let is_new: BTreeMap<&str, bool> =
                model.iter().map(|(key, (_, rev))| (key.as_str(), rev > since)).collect();
            let steps = tree.walk().filter_map(|step| match step {
                Step::Node(node) => Some(node.cid()),
                Step::Entry { key, value } => is_new[key.rsplit_once('/').unwrap().1].then_some(value),
            });
            let order: Vec<Cid> = std::iter::once(commit.cid()).chain(steps).collect();
            assert_eq!(part.order, order, "since {since}");
            let both = |cid: &Cid| part_car.get(cid).or_else(|| old_car.get(cid));
            let merged = Tree::from_blocks(&commit.commit().data, both).unwrap();
            assert!(merged.entries().all(|(_, cid)| both(&cid).is_some()), "since {since}");
        }
        older.push((rev, file));
    }
    let newest = export(&pds, &alice, Some(&older.last().unwrap().0)).await;
    assert_eq!(newest.order.len(), 1, "whoever has it all gets the commit");
    let future = Tid::parse("jzzzzzzzzzzzz").unwrap();
    assert_eq!(export(&pds, &alice, Some(future.as_str())).await.order, newest.order);
    let all: &Value = &json!(export(&pds, &alice, Some("2222222222222")).await.order.len());
    assert_eq!(*all, json!(older.last().unwrap().1.order.len()), "since the beginning is all");
}

#[tokio::test]
async fn what_was_written_is_exported_and_what_came_since_completes_it() {
    for seed in 1..=3 {
        follow(seed).await;
    }
}
