//! Reads CAR files from anybody, piece by piece.

use bytes::{Buf as _, Bytes, BytesMut};

use super::{CarError, Limits};
use crate::Cid;
use crate::cbor::Decoder;
use crate::cid::CID_BYTES;

/// The longest header, in bytes.
pub(super) const HEADER_BYTES_MAX: usize = 1024;
/// The most roots that a header may name.
pub(super) const ROOTS_MAX: usize = 16;
/// The longest length prefix, in bytes.
const LENGTH_BYTES_MAX: usize = 5;

/// A block, checked against its identifier.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// The identifier.
    pub cid: Cid,
    /// The bytes.
    pub bytes: Bytes,
}

/// Reads a CAR file as it arrives: [`push`](Self::push) what came, take blocks with
/// [`next_block`](Self::next_block) until there are none, and [`finish`](Self::finish) at the end.
/// It holds one block and what was pushed. After an error it is of no more use.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    buffer: BytesMut,
    file_bytes: u64,
    blocks: usize,
    roots: Option<Vec<Cid>>,
}

impl Reader {
    /// A reader that has seen nothing.
    pub fn new(limits: Limits) -> Self {
        Self { limits, buffer: BytesMut::new(), file_bytes: 0, blocks: 0, roots: None }
    }

    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) -> Result<(), CarError> {
        self.file_bytes = self.file_bytes.saturating_add(bytes.len() as u64);
        if self.file_bytes > self.limits.file_bytes_max {
            return Err(CarError::FileTooLarge { bytes_max: self.limits.file_bytes_max });
        }
        self.buffer.extend_from_slice(bytes);
        if self.roots.is_none()
            && let Some((header, behind)) = section(&self.buffer, HEADER_BYTES_MAX)?
        {
            self.roots = Some(parse_header(header)?);
            let used = self.buffer.len() - behind.len();
            self.buffer.advance(used);
        }
        Ok(())
    }

    /// The roots, once the header was read.
    pub fn roots(&self) -> Option<&[Cid]> {
        self.roots.as_deref()
    }

    /// The next block, if all of it was pushed.
    pub fn next_block(&mut self) -> Result<Option<Block>, CarError> {
        if self.roots.is_none() {
            return Ok(None);
        }
        let Some((found, behind)) = section(&self.buffer, section_bytes_max(&self.limits))? else { return Ok(None) };
        if self.blocks >= self.limits.blocks_max {
            return Err(CarError::TooManyBlocks { blocks_max: self.limits.blocks_max });
        }
        let (cid, block) = parse_block(found, &self.limits)?;
        let (block_bytes, behind_bytes) = (block.len(), behind.len());
        self.blocks += 1;
        self.buffer.advance(self.buffer.len() - behind_bytes - block_bytes);
        Ok(Some(Block { cid, bytes: self.buffer.split_to(block_bytes).freeze() }))
    }

    /// Checks that the file ended where it may, and answers its roots.
    pub fn finish(self) -> Result<Vec<Cid>, CarError> {
        match self.roots {
            Some(roots) if self.buffer.is_empty() => Ok(roots),
            _ => Err(CarError::UnexpectedEnd),
        }
    }
}

/// A section's bytes and what is behind it.
type Section<'b> = (&'b [u8], &'b [u8]);

/// Cuts a section, which is a length and as many bytes, off the front; nothing if it is not whole.
pub(super) fn section(bytes: &[u8], bytes_max: usize) -> Result<Option<Section<'_>>, CarError> {
    let mut length = 0_usize;
    for (place, byte) in bytes.iter().take(LENGTH_BYTES_MAX).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if length > bytes_max {
            return Err(CarError::BlockTooLarge { bytes_max });
        }
        if byte & 0x80 == 0 {
            if length == 0 || (*byte == 0 && place > 0) {
                return Err(CarError::Length);
            }
            return Ok(bytes.get(place + 1..).and_then(|rest| rest.split_at_checked(length)));
        }
    }
    if bytes.len() < LENGTH_BYTES_MAX { Ok(None) } else { Err(CarError::Length) }
}

/// The longest section of a block.
pub(super) fn section_bytes_max(limits: &Limits) -> usize {
    limits.block_bytes_max.saturating_add(CID_BYTES)
}

/// Reads the header's roots.
pub(super) fn parse_header(header: &[u8]) -> Result<Vec<Cid>, CarError> {
    let mut input = Decoder::new(header);
    let mut parse = || {
        if input.map()? != 2 || input.text()? != "roots" {
            return Ok(None);
        }
        let count = input.array()?;
        if count == 0 || count > ROOTS_MAX {
            return Ok(Some(Err(CarError::Roots)));
        }
        let roots = (0..count).map(|_| input.link()).collect::<Result<Vec<_>, _>>()?;
        let is_version_1 = input.text()? == "version" && input.uint()? == 1;
        input.end()?;
        Ok(is_version_1.then_some(Ok(roots)))
    };
    let parsed: Result<_, crate::cbor::CborError> = parse();
    parsed.ok().flatten().unwrap_or(Err(CarError::Header))
}

/// Reads a block's section and checks its hash.
pub(super) fn parse_block<'b>(section: &'b [u8], limits: &Limits) -> Result<(Cid, &'b [u8]), CarError> {
    let (cid, block) = section.split_at_checked(CID_BYTES).ok_or(CarError::UnexpectedEnd)?;
    let cid = Cid::from_bytes(cid)?;
    if block.len() > limits.block_bytes_max {
        return Err(CarError::BlockTooLarge { bytes_max: limits.block_bytes_max });
    }
    if !cid.matches(block) {
        return Err(CarError::HashMismatch { cid });
    }
    Ok((cid, block))
}
