//! CAR files: `atproto/repo/car-file-fixtures.json`, and repositories exported by other software.

use allod_atproto::car::{self, Limits, Reader, Writer};
use allod_atproto::repo::{RecordPath, SignedCommit, Tree};
use allod_atproto::{Cid, cbor};

use crate::vectors;

#[test]
fn fixtures_are_read_and_written() {
    for case in vectors::cases("atproto/repo/car-file-fixtures.json", "") {
        let file = vectors::base64(&case, "car");
        let root = Cid::parse(vectors::str(&case, "root")).unwrap();
        let blocks: Vec<(Cid, Vec<u8>)> = case["blocks"]
            .as_array()
            .unwrap()
            .iter()
            .map(|block| (Cid::parse(vectors::str(block, "cid")).unwrap(), vectors::base64(block, "bytes")))
            .collect();

        let mut writer = Writer::new(&root);
        for (cid, bytes) in &blocks {
            writer.block(cid, bytes);
        }
        assert_eq!(writer.finish(), file);

        let read = car::read(&file, &Limits::COMMIT).unwrap();
        assert_eq!((read.roots(), read.len()), (&[root][..], blocks.len()));
        assert!(blocks.iter().all(|(cid, bytes)| read.get(cid) == Some(bytes)));

        let mut reader = Reader::new(Limits::COMMIT);
        let mut found = Vec::new();
        for byte in &file {
            reader.push(&[*byte]).unwrap();
            while let Some(block) = reader.next_block().unwrap() {
                found.push((block.cid, block.bytes.to_vec()));
            }
        }
        assert_eq!(found, blocks);
        assert_eq!(reader.finish(), Ok(vec![root]));
    }
}

/// Whole repositories: the tree is the only one for its keys and complete, and every record is
/// there. Commits of the second version of the format are refused, whose trees are the same.
#[test]
fn exported_repositories() {
    let files = [
        ("greenground.repo.car", 3, 2),
        ("fakermaker.repo.car", 2, 142),
        ("paul_staging.repo.car", 2, 185),
        ("divy.repo", 2, 6),
    ];
    for (name, version, records) in files {
        let file = std::fs::read(vectors::path(&format!("indigo/testing/testdata/{name}"))).unwrap();
        let blocks = car::read(&file, &Limits::REPOSITORY).unwrap();
        let block = blocks.get(&blocks.root().unwrap()).unwrap();
        let fields = cbor::decode(block).unwrap();
        let data = fields.get("data").unwrap().as_cid().unwrap();
        match SignedCommit::parse(block) {
            Ok(commit) => {
                assert_eq!(
                    (version, commit.commit().data, commit.bytes()),
                    (3, data, &block.to_vec().into()),
                    "{name}"
                );
            }
            Err(error) => assert_eq!(version, 2, "{name}: {error}"),
        }
        let tree = Tree::from_blocks(&data, |cid| blocks.get(cid)).unwrap();
        assert_eq!((tree.root(), tree.len()), (data, records), "{name}");
        for (path, cid) in tree.entries() {
            RecordPath::parse(&path).unwrap();
            assert!(blocks.get(&cid).is_some(), "{name}: {path}");
        }
    }
}
