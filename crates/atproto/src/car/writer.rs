//! Writes CAR files.

use std::mem;

use bytes::Bytes;

use crate::Cid;
use crate::cbor::Encoder;
use crate::cid::CID_BYTES;

/// Writes a CAR file block by block. What was written can be taken out at any time, so that a file
/// is streamed without being held.
#[derive(Debug, Clone)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// Begins a file with one root.
    pub fn new(root: &Cid) -> Self {
        Self::with_capacity(root, 0)
    }

    /// Begins a file with one root, and with room for `bytes` of blocks.
    pub fn with_capacity(root: &Cid, bytes: usize) -> Self {
        let mut header = Encoder::with_capacity(64);
        header.map(2).text("roots").array(1).link(root).text("version").uint(1);
        let mut writer = Self { bytes: Vec::with_capacity(bytes + 64) };
        writer.length(header.len());
        writer.bytes.extend_from_slice(header.as_bytes());
        writer
    }

    /// Appends a block.
    pub fn block(&mut self, cid: &Cid, block: &[u8]) {
        self.bytes.reserve(block.len() + CID_BYTES + 4);
        self.length(CID_BYTES + block.len());
        self.bytes.extend_from_slice(&cid.to_bytes());
        self.bytes.extend_from_slice(block);
    }

    /// How many bytes were written and not yet taken.
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Tells whether there is nothing to take.
    pub fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }

    /// Takes out what was written since the last time.
    pub fn take(&mut self) -> Bytes {
        let room = Vec::with_capacity(self.bytes.capacity());
        mem::replace(&mut self.bytes, room).into()
    }

    /// The file, or what of it was not yet taken.
    pub fn finish(self) -> Bytes {
        self.bytes.into()
    }

    fn length(&mut self, mut length: usize) {
        loop {
            let [low, ..] = length.to_le_bytes();
            length >>= 7;
            if length == 0 {
                self.bytes.push(low & 0x7f);
                return;
            }
            self.bytes.push(low | 0x80);
        }
    }
}

/// A whole file of one root and some blocks.
pub fn write<'b>(root: &Cid, blocks: impl IntoIterator<Item = (Cid, &'b [u8])>) -> Bytes {
    let mut writer = Writer::new(root);
    for (cid, block) in blocks {
        writer.block(&cid, block);
    }
    writer.finish()
}
