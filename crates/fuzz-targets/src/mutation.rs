//! Deterministic mutations: the same seed gives the same bytes on every machine.

/// Tokens that formats give a meaning, and numbers at the edges of their types.
const DICTIONARY: &[&[u8]] = &[
    b"$type",
    b"$link",
    b"$bytes",
    b"blob",
    b"ref",
    b"mimeType",
    b"{",
    b"}",
    b"[",
    b"]",
    b"\"",
    b"\\u0000",
    b"\\\"",
    b":",
    b",",
    b"null",
    b"true",
    b"-1",
    b"1.0",
    b"1e999",
    b"9007199254740992",
    b"18446744073709551616",
    b"did:plc:",
    b"did:web:",
    b"at://",
    b"#atproto",
    b"#/",
    b"\xed\xa0\x80",
    b"\xff",
    b"\0",
    b"$serde_json::private::RawValue",
    b"$serde_json::private::Number",
    b"../",
    b"%00",
    b"%2F",
    b"&",
    b"=",
    b"[]",
    b"gzip",
    b"a6",
    b"\xd8\x2a\x58\x25\x00",
    b"\x01\x71\x12\x20",
    b"\x7f\xff\xff\xff\xff\xff\xff\xff",
    b"\x1b\xff\xff\xff\xff\xff\xff\xff\xff",
    b"\x9b",
    b"\xbb",
];
/// No mutation grows bytes beyond this many.
const BYTES_MAX: usize = 64 * 1024;

/// Numbers that look random: `SplitMix64`.
pub(crate) struct Numbers(u64);

impl Numbers {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number below `end`; 0 when that is 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end.max(1)).unwrap_or(1);
        usize::try_from(self.next() % end).unwrap_or_default()
    }

    fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }
}

/// Makes one to eight changes; `other` is another entry of the corpus, of which parts may be taken.
pub(crate) fn mutate(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    for _ in 0..=numbers.below(8) {
        change(bytes, other, numbers);
    }
    bytes.truncate(BYTES_MAX);
}

fn change(bytes: &mut Vec<u8>, other: &[u8], numbers: &mut Numbers) {
    let at = numbers.below(bytes.len() + 1);
    let span = numbers.below(16).min(bytes.len() - at);
    match numbers.below(9) {
        0 if at < bytes.len() => bytes[at] ^= 1 << numbers.below(8),
        1 if at < bytes.len() => bytes[at] = numbers.byte(),
        2 => bytes.insert(at, numbers.byte()),
        3 => drop(bytes.drain(at..at + span)),
        4 => {
            let word = DICTIONARY[numbers.below(DICTIONARY.len())];
            drop(bytes.splice(at..at + span, word.iter().copied()));
        }
        5 => {
            let part = bytes[at..at + span].to_vec();
            let times = 1 << numbers.below(8);
            drop(bytes.splice(at..at, part.repeat(times)));
        }
        6 => {
            let from = numbers.below(other.len() + 1);
            let to = from + numbers.below(64).min(other.len() - from);
            drop(bytes.splice(at..at + span, other[from..to].iter().copied()));
        }
        7 => bytes.truncate(at),
        _ => {
            let word = DICTIONARY[numbers.below(DICTIONARY.len())];
            bytes.splice(at..at, word.iter().copied());
        }
    }
    bytes.truncate(BYTES_MAX);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_bytes() {
        let mutated = |seed: u64| {
            let (mut numbers, mut bytes) = (Numbers::new(seed), b"{\"a\":1}".to_vec());
            (0..100).for_each(|_| mutate(&mut bytes, b"[2,3]", &mut numbers));
            bytes
        };
        assert_eq!(mutated(7), mutated(7));
        assert_ne!(mutated(7), mutated(8));
    }
}
