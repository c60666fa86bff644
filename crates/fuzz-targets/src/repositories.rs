//! CAR files, trees and frames.

use std::collections::BTreeMap;

use allod_atproto::{
    Cid,
    car::{self, Limits, Reader},
    frame::{self, Message},
    repo::{BlockWalk, PartialTree, RecordPath, RootBuilder, SignedCommit, Tree, TreeError, invert},
};

const LIMITS: Limits = Limits { file_bytes_max: 1 << 20, block_bytes_max: 1 << 16, blocks_max: 1000 };
/// How many keys a tree that was read may be taken apart with: checks are quadratic in it.
const KEYS_MAX: usize = 300;

/// A CAR file, read whole and in pieces, with whatever tree and commit it has.
pub(crate) fn car(data: &[u8]) {
    let whole = car::read(data, &LIMITS);
    let pieces = in_pieces(data);
    let Ok(car) = whole else {
        assert!(pieces.is_err(), "what can't be read whole can't be read in pieces");
        return;
    };
    let (roots, blocks) = pieces.expect("what is read whole is read in pieces");
    assert_eq!(roots, car.roots());
    assert!(blocks.iter().all(|(cid, bytes)| cid.matches(bytes) && car.get(cid) == Some(bytes)));
    assert_eq!(blocks.iter().map(|(cid, _)| cid).collect::<std::collections::HashSet<_>>().len(), car.len());
    if let Some(root) = car.root() {
        let again = car::write(&root, blocks.iter().map(|(cid, bytes)| (*cid, bytes.as_slice())));
        assert_eq!(car::read(&again, &Limits::REPOSITORY).unwrap().len(), car.len());
        if let Some(commit) = car.get(&root).and_then(|block| SignedCommit::parse(block).ok()) {
            assert_eq!((commit.cid(), commit.bytes().as_ref()), (root, car.get(&root).unwrap()));
            whole_tree(&commit.commit().data, |cid| car.get(cid));
            let _ = invert(&car, &commit.commit().data, &[]);
        }
    }
    for (cid, _) in car.blocks().take(20) {
        whole_tree(cid, |cid| car.get(cid));
    }
}

type Read = (Vec<Cid>, Vec<(Cid, Vec<u8>)>);

fn in_pieces(data: &[u8]) -> Result<Read, car::CarError> {
    let mut reader = Reader::new(LIMITS);
    let mut blocks = Vec::new();
    for piece in data.chunks(7) {
        reader.push(piece)?;
        while let Some(block) = reader.next_block()? {
            blocks.push((block.cid, block.bytes.to_vec()));
        }
    }
    Ok((reader.finish()?, blocks))
}

/// The ways to read a tree agree on whether it is one, and what is in it.
fn whole_tree<'b>(root: &Cid, block: impl Fn(&Cid) -> Option<&'b [u8]> + Copy) {
    let walked = walk(root, block);
    let partial = PartialTree::from_blocks(root, block);
    match Tree::from_blocks(root, block) {
        Ok(tree) => {
            let entries: Vec<_> = tree.entries().collect();
            assert_eq!(walked.expect("a walk sees what is loaded"), entries);
            assert_eq!(tree.root(), *root);
            assert_eq!(Tree::from_sorted(entries.iter().map(|(key, cid)| (key, *cid))).unwrap().root(), *root);
            let mut builder = RootBuilder::new();
            for (key, cid) in &entries {
                builder.push(key, *cid).expect("keys of a tree ascend");
            }
            assert_eq!(builder.finish(), *root);
            assert_eq!(partial.expect("a whole tree is a partial one").root(), *root);
        }
        Err(_) => assert!(walked.is_err(), "a walk to the end has seen a valid tree"),
    }
}

fn walk<'b>(
    root: &Cid,
    block: impl Fn(&Cid) -> Option<&'b [u8]>,
) -> Result<Vec<(std::sync::Arc<str>, Cid)>, TreeError> {
    let mut walk = BlockWalk::new(*root);
    let mut entries = Vec::new();
    let fetch = |cid: &Cid| block(cid).map(<[u8]>::to_vec).ok_or(TreeError::MissingNode { cid: *cid });
    while let Some(entry) = walk.next(fetch)? {
        entries.push(entry);
    }
    Ok(entries)
}

/// Changes to a tree, two bytes each: it is at any time the tree of its entries, and each change can be taken back.
pub(crate) fn tree(data: &[u8]) {
    let mut tree = Tree::empty();
    let mut model = BTreeMap::new();
    for change in data.chunks_exact(2).take(KEYS_MAX) {
        let path = format!("com.example.c{}/{:03}", change[0] & 3, change[0] >> 2);
        let path = RecordPath::parse(&path).unwrap();
        let before = (tree.root(), tree.get(path.as_str()));
        let cid = (change[1] & 3 != 0).then(|| Cid::for_cbor(&change[1..]));
        let replaced = match cid {
            Some(cid) => tree.set(path.as_str(), cid).unwrap(),
            None => tree.remove(path.as_str()).unwrap(),
        };
        let expected = match cid {
            Some(cid) => model.insert(path.to_string(), cid),
            None => model.remove(path.as_str()),
        };
        assert_eq!((replaced, before.1), (expected, expected));
        let mut undone = tree.clone();
        match before.1 {
            Some(cid) => undone.set(path.as_str(), cid).map(drop),
            None => undone.remove(path.as_str()).map(drop),
        }
        .unwrap();
        assert_eq!(undone.root(), before.0, "a change can be taken back");
    }
    let rebuilt = Tree::from_sorted(model.iter().map(|(key, cid)| (key, *cid))).unwrap();
    assert_eq!((rebuilt.root(), rebuilt.len()), (tree.root(), model.len()));
    assert!(tree.entries().map(|(key, cid)| (key.to_string(), cid)).eq(model));
}

/// A frame of the firehose.
pub(crate) fn frame(data: &[u8]) {
    let Ok(read) = frame::decode(data) else { return };
    let seq = read.seq.unwrap_or_default();
    let written = match &read.message {
        Message::Commit(commit) => frame::commit(commit).with_seq(seq),
        Message::Sync(sync) => frame::sync(sync).with_seq(seq),
        Message::Identity(identity) => frame::identity(identity).with_seq(seq),
        Message::Account(account) => frame::account(account).with_seq(seq),
        Message::Info(info) => frame::info(info),
        Message::Error(error) => frame::error(error),
        Message::Other { .. } => return,
    };
    assert_eq!(frame::decode(&written).as_ref(), Ok(&read));
}
