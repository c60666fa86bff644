//! CAR files there and back, in pieces, and malformed.

use proptest::prelude::*;

use super::*;

fn block(n: u8, bytes: usize) -> (Cid, Vec<u8>) {
    let block = vec![n; bytes];
    (if n.is_multiple_of(2) { Cid::for_cbor(&block) } else { Cid::for_raw(&block) }, block)
}

fn file(blocks: &[(Cid, Vec<u8>)]) -> Vec<u8> {
    let root = blocks.first().map_or_else(|| Cid::for_cbor(b""), |(cid, _)| *cid);
    write(&root, blocks.iter().map(|(cid, block)| (*cid, block.as_slice()))).to_vec()
}

/// Reads a file pushed in pieces of the sizes given, in turn.
fn read_in_pieces(mut file: &[u8], sizes: &[usize], limits: Limits) -> Result<(Vec<Cid>, Vec<Block>), CarError> {
    let mut reader = Reader::new(limits);
    let mut blocks = Vec::new();
    for size in sizes.iter().cycle() {
        if file.is_empty() {
            break;
        }
        let (piece, rest) = file.split_at((*size).min(file.len()));
        reader.push(piece)?;
        while let Some(block) = reader.next_block()? {
            blocks.push(block);
        }
        file = rest;
    }
    Ok((reader.finish()?, blocks))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Any blocks, doubles included, come back in their order however the file arrives.
    #[test]
    fn what_is_written_is_read(
        shapes in prop::collection::vec((any::<u8>(), 0_usize..400), 0..12),
        sizes in prop::collection::vec(1_usize..200, 1..5),
    ) {
        let blocks: Vec<_> = shapes.into_iter().map(|(n, bytes)| block(n, bytes)).collect();
        let file = file(&blocks);
        let (roots, found) = read_in_pieces(&file, &sizes, Limits::COMMIT).unwrap();
        let found: Vec<_> = found.into_iter().map(|block| (block.cid, block.bytes.to_vec())).collect();
        prop_assert_eq!(&found, &blocks);
        let car = read(&file, &Limits::COMMIT).unwrap();
        prop_assert_eq!(car.roots(), &roots[..]);
        prop_assert!(blocks.iter().all(|(cid, block)| car.get(cid) == Some(block)));
        prop_assert!(car.blocks().all(|(cid, block)| cid.matches(block)));
    }

    /// Both readers agree about bytes of any kind, and neither takes a block that is not its own.
    #[test]
    fn changed_files_are_judged_alike(at in any::<prop::sample::Index>(), to in any::<u8>(), cut in any::<prop::sample::Index>()) {
        let mut file = file(&[block(1, 3), block(2, 200), block(3, 0)]);
        let at = at.index(file.len());
        file[at] = to;
        file.truncate(cut.index(file.len()) + 1);
        let whole = read(&file, &Limits::COMMIT).map(|car| car.roots().to_vec());
        let pieces = read_in_pieces(&file, &[7, 1], Limits::COMMIT).map(|(roots, _)| roots);
        prop_assert_eq!(whole.ok(), pieces.ok());
    }
}

#[test]
fn limits_are_exact() {
    let file = file(&[block(1, 100), block(2, 50), block(2, 50)]);
    let limits = Limits { file_bytes_max: file.len() as u64, block_bytes_max: 100, blocks_max: 3 };
    let both = |limits: Limits| {
        let whole = read(&file, &limits).map(|car| car.len());
        assert_eq!(whole.err(), read_in_pieces(&file, &[11], limits).err());
        whole
    };
    assert_eq!(both(limits), Ok(2));
    let bytes_max = limits.file_bytes_max - 1;
    assert_eq!(both(Limits { file_bytes_max: bytes_max, ..limits }), Err(CarError::FileTooLarge { bytes_max }));
    assert_eq!(both(Limits { blocks_max: 2, ..limits }), Err(CarError::TooManyBlocks { blocks_max: 2 }));
    assert!(matches!(both(Limits { block_bytes_max: 99, ..limits }), Err(CarError::BlockTooLarge { .. })));
}

#[test]
fn malformed_files_are_refused() {
    let good = file(&[block(1, 3)]);
    let header = file(&[]);
    let mut other_bytes = good.clone();
    *other_bytes.last_mut().unwrap() ^= 1;
    let cases = [
        ("nothing", Vec::new(), CarError::UnexpectedEnd),
        ("half a block", good[..good.len() - 1].to_vec(), CarError::UnexpectedEnd),
        ("other bytes", other_bytes, CarError::HashMismatch { cid: block(1, 3).0 }),
        ("empty section", [&header[..], &[0]].concat(), CarError::Length),
        ("padded length", [&header[..], &[0x80, 0x00]].concat(), CarError::Length),
        ("a length of 2^34", [&header[..], &[0xff; 5]].concat(), CarError::BlockTooLarge { bytes_max: 1_000_036 }),
        ("a header of another version", b"\x11\xa2eroots\x80gversion\x02".to_vec(), CarError::Roots),
        ("no header", b"\x01\xa0".to_vec(), CarError::Header),
    ];
    for (name, file, expected) in cases {
        assert_eq!(read(&file, &Limits::COMMIT).err(), Some(expected), "{name}");
        assert_eq!(read_in_pieces(&file, &[3], Limits::COMMIT).err(), Some(expected), "{name}");
    }
}

#[test]
fn a_file_is_taken_out_in_parts() {
    let blocks = [block(1, 3), block(2, 200)];
    let mut writer = Writer::new(&blocks[0].0);
    let mut parts = Vec::new();
    for (cid, block) in &blocks {
        writer.block(cid, block);
        assert!(!writer.is_empty());
        parts.extend_from_slice(&writer.take());
        assert_eq!(writer.len(), 0);
    }
    parts.extend_from_slice(&writer.finish());
    assert_eq!(parts, file(&blocks));
}
