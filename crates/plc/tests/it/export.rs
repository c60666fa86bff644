//! `/export` in both forms.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::history::Owner;
use crate::running::{Running, message, read_json};

const ACCOUNTS: usize = 12;

#[tokio::test]
async fn pages_by_number() {
    let plc = filled().await;
    let mut after = 0;
    let mut seen = Vec::new();
    loop {
        let page = lines(&plc, &format!("export?count=5&after={after}")).await;
        let Some(last) = page.last() else { break };
        assert!(page.len() <= 5);
        after = last["seq"].as_i64().unwrap();
        seen.extend(page);
    }
    let numbers: Vec<i64> = seen.iter().map(|line| line["seq"].as_i64().unwrap()).collect();
    assert_eq!(numbers, (1..=i64::try_from(ACCOUNTS).unwrap() + 2).collect::<Vec<_>>());
    for line in &seen {
        let fields: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, BTreeSet::from(["type", "operation", "did", "cid", "createdAt", "seq"]));
        assert_eq!(line["type"], "sequenced_op");
    }
    assert_eq!(lines(&plc, "export?after=9999").await.len(), 0);
}

#[tokio::test]
async fn pages_by_time() {
    let plc = filled().await;
    let all = lines(&plc, "export").await;
    assert_eq!(all.len(), ACCOUNTS + 2);
    for line in &all {
        let fields: BTreeSet<&str> = line.as_object().unwrap().keys().map(String::as_str).collect();
        assert_eq!(fields, BTreeSet::from(["operation", "did", "cid", "createdAt", "nullified"]));
    }
    assert_eq!(all.iter().filter(|line| line["nullified"] == true).count(), 1);
    // Paging by time loses nothing, though many operations have the same.
    for count in [1, 3, 1000] {
        let mut after = "1970-01-01T00:00:00.000Z".to_owned();
        let mut seen = Vec::new();
        loop {
            let page = lines(&plc, &format!("export?count={count}&after={after}")).await;
            let Some(last) = page.last() else { break };
            last["createdAt"].as_str().unwrap().clone_into(&mut after);
            seen.extend(page);
        }
        assert_eq!(seen, all, "{count}");
    }
    assert!(all.is_sorted_by_key(|line| line["createdAt"].as_str().unwrap()));
}

#[tokio::test]
async fn parameters_are_checked() {
    let plc = filled().await;
    for (query, name) in [
        ("count=0", "count"),
        ("count=-1", "count"),
        ("count=many", "count"),
        ("after=yesterday", "after"),
        ("after=-1", "after"),
        ("after=99999999999999999999", "after"),
        ("after=1969-01-01T00:00:00Z", "after"),
    ] {
        let (status, _, body) = plc.get(&format!("export?{query}")).await;
        assert_eq!((status, message(&body)), (400, format!("Invalid {name} parameter")), "{query}");
    }
    assert_eq!(lines(&plc, "export?count=5000&after=0").await.len(), ACCOUNTS + 2);
    assert_eq!(lines(&plc, "export?after=").await.len(), ACCOUNTS + 2);
}

/// Twelve accounts made in three milliseconds, the last one with an update that is undone.
async fn filled() -> Running {
    let plc = Running::start().await;
    for n in 0..ACCOUNTS {
        let owner = Owner::new(&format!("user{n}"));
        let (did, genesis) = owner.genesis();
        plc.client.submit(&did, &genesis).await.unwrap();
        if n % 5 == 4 {
            plc.advance_millis(1);
        }
        if n == ACCOUNTS - 1 {
            plc.client.submit(&did, &owner.update(Some(genesis.cid()), 2, "a.")).await.unwrap();
            plc.client.submit(&did, &owner.update(Some(genesis.cid()), 0, "b.")).await.unwrap();
        }
    }
    plc
}

async fn lines(plc: &Running, path: &str) -> Vec<Value> {
    let (status, kind, text) = plc.get(path).await;
    assert_eq!((status, kind.as_str()), (200, "application/jsonlines"), "{path}: {text}");
    assert!(!text.ends_with('\n'), "clients parse every line");
    text.lines().map(read_json).collect()
}
