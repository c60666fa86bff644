//! Checksums of a blob's bytes: one for each piece of 64 KiB, so that any range can be verified when it is read.
//!
//! CRC-32C detects disk errors at a tenth of the cost of the CID's SHA-256. Deliberate changes are found by the scrub,
//! which computes the CID.

use std::ops::Range;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};

use crate::objects::{ObjectError, Opened};

/// How many bytes one checksum covers.
pub const PIECE_BYTES: u64 = 64 * 1024;

/// The size of one checksum, in bytes.
const SUM_BYTES: usize = 4;

/// Computes checksums incrementally.
#[derive(Debug, Clone, Default)]
pub struct Summing {
    crc: u32,
    /// How many bytes of the current piece are in `crc`.
    piece_bytes: u64,
    sums: Vec<u8>,
}

impl Summing {
    /// Adds the next bytes.
    pub fn update(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let wanted = usize::try_from(PIECE_BYTES - self.piece_bytes).unwrap_or(usize::MAX);
            let (piece, rest) = bytes.split_at_checked(wanted).unwrap_or((bytes, &[]));
            self.crc = crc32c::crc32c_append(self.crc, piece);
            self.piece_bytes += piece.len() as u64;
            if self.piece_bytes == PIECE_BYTES {
                self.end_piece();
            }
            bytes = rest;
        }
    }

    fn end_piece(&mut self) {
        self.sums.extend_from_slice(&self.crc.to_le_bytes());
        (self.crc, self.piece_bytes) = (0, 0);
    }

    /// Returns the checksums of all bytes that were added.
    pub fn finish(mut self) -> Vec<u8> {
        if self.piece_bytes > 0 {
            self.end_piece();
        }
        self.sums
    }
}

/// The checksums of a blob, as they are stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checksums(Bytes);

impl Checksums {
    /// Reads the checksums of a blob of `size` bytes; `None` if their number is wrong.
    pub fn new(stored: Bytes, size: u64) -> Option<Self> {
        let expected = size.div_ceil(PIECE_BYTES).checked_mul(SUM_BYTES as u64)?;
        (stored.len() as u64 == expected).then_some(Self(stored))
    }

    fn of_piece(&self, number: u64) -> Option<u32> {
        let start = usize::try_from(number).ok()?.checked_mul(SUM_BYTES)?;
        let bytes = self.0.get(start..start.checked_add(SUM_BYTES)?)?;
        Some(u32::from_le_bytes(bytes.try_into().ok()?))
    }
}

/// Extends a range to whole pieces, for a blob of `size` bytes.
pub fn whole_pieces(range: &Range<u64>, size: u64) -> Range<u64> {
    let end = range.end.div_ceil(PIECE_BYTES).saturating_mul(PIECE_BYTES).min(size);
    range.start / PIECE_BYTES * PIECE_BYTES..end
}

/// Passes on only bytes whose checksum is right.
struct Checker {
    sums: Checksums,
    /// The offset of the next bytes in the blob.
    position: u64,
    /// The size of the blob, in bytes.
    size: u64,
    /// The range that is passed on.
    wanted: Range<u64>,
    crc: u32,
    /// The beginning of an incomplete piece, up to `position`.
    held: Bytes,
}

impl Checker {
    /// Checks the next bytes and returns the wanted ones that are verified by now. Copies nothing if bytes come in whole
    /// pieces.
    fn take(&mut self, bytes: Bytes) -> Result<Bytes, ObjectError> {
        let start = self.position - self.held.len() as u64;
        let (mut rest, mut checked) = (&bytes[..], 0);
        while !rest.is_empty() {
            let piece = self.position / PIECE_BYTES;
            let piece_end = ((piece + 1) * PIECE_BYTES).min(self.size);
            let left = usize::try_from(piece_end.saturating_sub(self.position)).unwrap_or(usize::MAX);
            let (part, behind) = rest.split_at_checked(left).unwrap_or((rest, &[]));
            self.crc = crc32c::crc32c_append(self.crc, part);
            self.position += part.len() as u64;
            if self.position >= piece_end {
                if part.is_empty() || self.sums.of_piece(piece) != Some(self.crc) {
                    return Err(ObjectError::Damaged { position: piece * PIECE_BYTES });
                }
                self.crc = 0;
                checked = bytes.len() - behind.len();
            }
            rest = behind;
        }
        let held = std::mem::take(&mut self.held);
        if checked == 0 {
            self.held = joined(held, bytes);
            return Ok(Bytes::new());
        }
        let mut given = bytes;
        self.held = given.split_off(checked);
        Ok(self.wanted_of(start, &joined(held, given)))
    }

    /// Returns the wanted part of `bytes`, which begin at the offset `start`.
    fn wanted_of(&self, start: u64, bytes: &Bytes) -> Bytes {
        let end = start + bytes.len() as u64;
        let from = self.wanted.start.clamp(start, end) - start;
        let to = self.wanted.end.clamp(start, end) - start;
        match (usize::try_from(from), usize::try_from(to)) {
            (Ok(from), Ok(to)) if from < to => bytes.slice(from..to),
            _ => Bytes::new(),
        }
    }
}

fn joined(before: Bytes, behind: Bytes) -> Bytes {
    if before.is_empty() { behind } else { [before, behind].concat().into() }
}

/// Verifies an object that was opened at `pieces`, a range of whole pieces, and returns the range `wanted` within it. A
/// damaged piece and everything after it is not returned; `on_damage` is called with the offset of the piece.
///
/// # Errors
/// [`ObjectError`] if the first bytes are damaged or can't be read.
pub async fn checked(
    opened: Opened,
    sums: Checksums,
    pieces: Range<u64>,
    wanted: Range<u64>,
    on_damage: impl Fn(u64) + Send + 'static,
) -> Result<Opened, ObjectError> {
    let Opened { size, first, rest } = opened;
    let mut checker = Checker { sums, position: pieces.start, size, wanted, crc: 0, held: Bytes::new() };
    let report = move |outcome: Result<Bytes, ObjectError>| {
        if let Err(ObjectError::Damaged { position }) = &outcome {
            on_damage(*position);
        }
        outcome
    };
    let mut first = report(checker.take(first))?;
    let Some(mut rest) = rest else {
        return Ok(Opened { size, first, rest: None });
    };
    // At least one piece is verified before the response begins.
    while first.is_empty() {
        match rest.next().await {
            Some(piece) => first = report(checker.take(piece?))?,
            None => return Ok(Opened { size, first, rest: None }),
        }
    }
    let rest = stream::unfold((rest, checker, report, false), |(mut rest, mut checker, report, is_over)| async move {
        if is_over {
            return None;
        }
        loop {
            let taken = match rest.next().await? {
                Ok(piece) => report(checker.take(piece)),
                Err(error) => Err(error),
            };
            match taken {
                Ok(piece) if piece.is_empty() => {}
                Ok(piece) => return Some((Ok(piece), (rest, checker, report, false))),
                Err(error) => return Some((Err(error), (rest, checker, report, true))),
            }
        }
    });
    Ok(Opened { size, first, rest: Some(rest.boxed()) })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sums_of(bytes: &[u8]) -> Checksums {
        let mut summing = Summing::default();
        summing.update(bytes);
        Checksums::new(summing.finish().into(), bytes.len() as u64).unwrap()
    }

    fn pattern(len: usize) -> Vec<u8> {
        (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect()
    }

    /// Reads a range in pieces of `step` bytes, as from an object store.
    async fn read(stored: &[u8], sums: &Checksums, wanted: Range<u64>, step: usize) -> (Vec<u8>, bool) {
        let size = stored.len() as u64;
        let pieces = whole_pieces(&wanted, size);
        let part = &stored[usize::try_from(pieces.start).unwrap()..usize::try_from(pieces.end).unwrap()];
        let mut parts = part.chunks(step).map(Bytes::copy_from_slice);
        let first = parts.next().unwrap_or_default();
        let rest: Vec<Result<Bytes, ObjectError>> = parts.map(Ok).collect();
        let rest = (!rest.is_empty()).then(|| stream::iter(rest).boxed());
        let opened = Opened { size, first, rest };
        let Ok(opened) = checked(opened, sums.clone(), pieces, wanted, |_| {}).await else {
            return (Vec::new(), false);
        };
        let mut given = opened.first.to_vec();
        let mut rest = opened.rest.unwrap_or_else(|| stream::empty().boxed());
        while let Some(piece) = rest.next().await {
            let Ok(piece) = piece else { return (given, false) };
            given.extend_from_slice(&piece);
        }
        (given, true)
    }

    #[tokio::test]
    async fn ranges_are_what_was_asked_for_however_the_bytes_come() {
        for len in [0, 1, 65_535, 65_536, 65_537, 200_000, 262_144, 400_000] {
            let stored = pattern(len);
            let sums = sums_of(&stored);
            for step in [1_000, 65_536, 262_144] {
                for (start, end) in [(0, len), (1, len), (len / 2, len), (len / 3, len / 2), (65_536, 65_537)] {
                    if start < end && end <= len || (start, end) == (0, 0) {
                        let (given, is_whole) = read(&stored, &sums, start as u64..end as u64, step).await;
                        assert!(is_whole && given == stored[start..end], "{start}..{end} of {len} by {step}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_flipped_bit_is_given(len in 1_usize..300_000, at in any::<prop::sample::Index>(), bit in 0_u8..8,
            from in any::<prop::sample::Index>(), to in any::<prop::sample::Index>(), step in 1_usize..300_000) {
            let sound = pattern(len);
            let sums = sums_of(&sound);
            let mut stored = sound.clone();
            stored[at.index(len)] ^= 1 << bit;
            let (from, to) = (from.index(len), to.index(len) + 1);
            prop_assume!(from < to);
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let (given, is_whole) = runtime.block_on(read(&stored, &sums, from as u64..to as u64, step.max(1_000)));
            prop_assert!(given == sound[from..from + given.len()]);
            prop_assert_eq!(is_whole, given.len() == to - from);
            let piece = at.index(len) as u64 / PIECE_BYTES;
            let touched = from as u64 / PIECE_BYTES <= piece && piece <= (to as u64 - 1) / PIECE_BYTES;
            prop_assert_eq!(is_whole, !touched);
        }
    }
}
