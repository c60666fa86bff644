//! CAR files: `atproto/repo/car-file-fixtures.json`, and repositories exported by other software.

use allod_atproto::car::{self, Limits, Reader, Writer};
use allod_atproto::did_doc::DidDocument;
use allod_atproto::repo::{PartialTree, RecordPath, SignedCommit, Tree};
use allod_atproto::{Cid, Did, cbor, json};

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

/// An export that is signed by the key of the document beside it, which is another account's of the same server: it
/// had one key for all then.
#[test]
fn a_signed_repository() {
    let file = std::fs::read(vectors::path("indigo/testing/testdata/greenground.repo.car")).unwrap();
    let document = vectors::json("indigo/testing/testdata/greenground.didDoc.json");
    let did = Did::parse(vectors::str(&document, "id")).unwrap();
    let key = DidDocument::from_json(document, &did).unwrap().signing_key().unwrap();
    let blocks = car::read(&file, &Limits::REPOSITORY).unwrap();
    let commit = SignedCommit::parse(blocks.get(&blocks.root().unwrap()).unwrap()).unwrap();
    assert_eq!(commit.verify(&key), Ok(()));
    assert_ne!(commit.commit().did, did);
}

/// A file that has a block twice is read as if it had it once.
#[test]
fn a_block_that_is_there_twice() {
    let name = "indigo/testing/testdata/bafyreieovfuizojpw3zresz7sx3nk4trm2by23pt5rxbey3jme4uo5ogiu.car";
    let file = std::fs::read(vectors::path(name)).unwrap();
    let mut reader = Reader::new(Limits::COMMIT);
    reader.push(&file).unwrap();
    let mut count = 0;
    while reader.next_block().unwrap().is_some() {
        count += 1;
    }
    let blocks = car::read(&file, &Limits::COMMIT).unwrap();
    assert_eq!(blocks.len(), count - 1);
    let commit = cbor::decode(blocks.get(&blocks.root().unwrap()).unwrap()).unwrap();
    let tree = Tree::from_blocks(&commit.get("data").unwrap().as_cid().unwrap(), |cid| blocks.get(cid)).unwrap();
    assert!(!tree.is_empty() && tree.entries().all(|(_, cid)| blocks.get(&cid).is_some()));
}

/// The proof of one record: the way to it from the top, and the record.
#[test]
fn a_record_with_its_proof() {
    let file = std::fs::read(vectors::path("indigo/testing/testdata/repo_slice.car")).unwrap();
    let record = vectors::json("indigo/testing/testdata/repo_slice_record.json");
    let cid = Cid::parse(vectors::str(&record, "cid")).unwrap();
    let path = vectors::str(&record, "uri").splitn(4, '/').nth(3).unwrap();
    let blocks = car::read(&file, &Limits::COMMIT).unwrap();
    let commit = cbor::decode(blocks.get(&blocks.root().unwrap()).unwrap()).unwrap();
    let data = commit.get("data").unwrap().as_cid().unwrap();
    let tree = PartialTree::from_blocks(&data, |cid| blocks.get(cid)).unwrap();
    assert_eq!((tree.root(), tree.get(path)), (data, Ok(Some(cid))));
    assert!(Tree::from_blocks(&data, |cid| blocks.get(cid)).is_err(), "it is not the whole tree");
    let mut shown = Vec::new();
    json::write_json(blocks.get(&cid).unwrap(), &mut shown).unwrap();
    assert_eq!(json::parse(&shown, &json::Limits::OWN).unwrap(), record["value"]);
}
