//! CAR files, version 1: a header with root identifiers, then blocks.
//!
//! [`Writer`] and [`Reader`] work piece by piece, so that a repository of any size passes through
//! bounded memory. [`read`] takes a file that is in memory already and leaves its blocks there.
//!
//! Spec: <https://ipld.io/specs/transport/car/carv1/>

mod reader;
#[cfg(test)]
mod tests;
mod writer;

use std::collections::HashMap;

pub use self::reader::{Block, Reader};
pub use self::writer::{Writer, write};
use crate::Cid;
use crate::cid::CidError;

/// The media type of a CAR file.
pub const MEDIA_TYPE: &str = "application/vnd.ipld.car";

/// What a reader takes at most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The whole file, in bytes.
    pub file_bytes_max: u64,
    /// One block without its identifier, in bytes.
    pub block_bytes_max: usize,
    /// How many blocks, doubles included.
    pub blocks_max: usize,
}

impl Limits {
    /// What one commit event may carry.
    pub const COMMIT: Self = Self { file_bytes_max: 2_000_000, block_bytes_max: 1_000_000, blocks_max: 20_000 };
    /// What a whole repository may be when it is imported.
    pub const REPOSITORY: Self = Self { file_bytes_max: 1 << 30, block_bytes_max: 2_000_000, blocks_max: 8_000_000 };
}

/// Why bytes are not a CAR file that we take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CarError {
    /// The file ends within its header or a block.
    #[error("the file ends too early")]
    UnexpectedEnd,
    /// A length is not a number in its shortest form.
    #[error("a length is malformed")]
    Length,
    /// The header is not one of version 1.
    #[error("the header is malformed")]
    Header,
    /// The header names no root, or more than a few.
    #[error("the header must name 1 to {} roots", reader::ROOTS_MAX)]
    Roots,
    /// A block's identifier is of a form that the protocol does not use.
    #[error("a block's identifier: {0}")]
    Cid(#[from] CidError),
    /// A block's bytes are not those of its identifier.
    #[error("the bytes of the block {cid} are not its own")]
    HashMismatch {
        /// The identifier.
        cid: Cid,
    },
    /// The file is longer than allowed.
    #[error("the file is larger than {bytes_max} bytes")]
    FileTooLarge {
        /// The limit.
        bytes_max: u64,
    },
    /// A block is longer than allowed.
    #[error("a block is larger than {bytes_max} bytes")]
    BlockTooLarge {
        /// The limit.
        bytes_max: usize,
    },
    /// There are more blocks than allowed.
    #[error("there are more than {blocks_max} blocks")]
    TooManyBlocks {
        /// The limit.
        blocks_max: usize,
    },
}

/// A CAR file in memory, every block checked against its identifier.
#[derive(Debug, Clone)]
pub struct Car<'b> {
    roots: Vec<Cid>,
    blocks: HashMap<Cid, &'b [u8]>,
}

impl<'b> Car<'b> {
    /// The first root: in a repository's file, its commit.
    pub fn root(&self) -> Option<Cid> {
        self.roots.first().copied()
    }

    /// All roots.
    pub fn roots(&self) -> &[Cid] {
        &self.roots
    }

    /// The bytes of a block.
    pub fn get(&self, cid: &Cid) -> Option<&'b [u8]> {
        self.blocks.get(cid).copied()
    }

    /// How many different blocks there are.
    pub fn len(&self) -> usize {
        self.blocks.len()
    }

    /// Tells whether there are no blocks.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// The blocks, in no order.
    pub fn blocks(&self) -> impl Iterator<Item = (&Cid, &'b [u8])> {
        self.blocks.iter().map(|(cid, bytes)| (cid, *bytes))
    }
}

/// Reads a whole CAR file: blocks in any order, doubles and blocks that nobody asked for included.
pub fn read<'b>(bytes: &'b [u8], limits: &Limits) -> Result<Car<'b>, CarError> {
    if bytes.len() as u64 > limits.file_bytes_max {
        return Err(CarError::FileTooLarge { bytes_max: limits.file_bytes_max });
    }
    let (header, mut rest) = reader::section(bytes, reader::HEADER_BYTES_MAX)?.ok_or(CarError::UnexpectedEnd)?;
    let roots = reader::parse_header(header)?;
    let mut blocks = HashMap::new();
    let mut count = 0;
    while !rest.is_empty() {
        let (section, behind) =
            reader::section(rest, reader::section_bytes_max(limits))?.ok_or(CarError::UnexpectedEnd)?;
        count += 1;
        if count > limits.blocks_max {
            return Err(CarError::TooManyBlocks { blocks_max: limits.blocks_max });
        }
        let (cid, block) = reader::parse_block(section, limits)?;
        blocks.insert(cid, block);
        rest = behind;
    }
    Ok(Car { roots, blocks })
}
