//! Bytes that look random and are the same in every run.

use std::sync::atomic::{AtomicU64, Ordering};

use allod_base::randomness::Randomness;
use sha2::{Digest, Sha256};

/// The SHA-256 of a seed and a counter, over and over.
#[derive(Debug)]
pub struct SeededRandomness {
    seed: u64,
    blocks: AtomicU64,
}

impl SeededRandomness {
    /// Starts the sequence that belongs to the seed.
    pub fn new(seed: u64) -> Self {
        Self { seed, blocks: AtomicU64::new(0) }
    }
}

impl Randomness for SeededRandomness {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(32) {
            let block = self.blocks.fetch_add(1, Ordering::Relaxed);
            let digest = Sha256::digest([self.seed.to_be_bytes(), block.to_be_bytes()].concat());
            for (to, from) in chunk.iter_mut().zip(digest) {
                *to = from;
            }
        }
    }
}
