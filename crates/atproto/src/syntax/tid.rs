//! Timestamp identifiers: record keys and repository revisions that sort by time.

use std::str;

use super::{SyntaxError, text_traits};

const ALPHABET: &[u8; 32] = b"234567abcdefghijklmnopqrstuvwxyz";
/// The length of a TID's text.
const TID_CHARS: usize = 13;
/// The number of low bits that hold the clock identifier.
const CLOCK_ID_BITS: u32 = 10;
const CLOCK_ID_MASK: u64 = (1 << CLOCK_ID_BITS) - 1;
const MICROS_MASK: u64 = (1 << 53) - 1;

/// A timestamp identifier, such as `3jzfcijpj2z2a`. Orders as its text does: by time.
///
/// Spec: <https://atproto.com/specs/tid>
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tid([u8; TID_CHARS]);

impl Tid {
    /// Parses the text; the error names what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, SyntaxError> {
        let error = |reason| SyntaxError { what: "TID", reason };
        let bytes: [u8; TID_CHARS] = text.as_bytes().try_into().map_err(|_| error("must be 13 characters"))?;
        if !bytes.iter().all(|b| matches!(b, b'2'..=b'7' | b'a'..=b'z')) {
            return Err(error("has a character that is not allowed"));
        }
        if !matches!(bytes[0], b'2'..=b'7' | b'a'..=b'j') {
            return Err(error("the first character is too high"));
        }
        Ok(Self(bytes))
    }

    /// Builds a TID from a time in microseconds since 1970 (53 bits are kept) and a clock
    /// identifier (10 bits are kept).
    pub fn from_parts(micros: u64, clock_id: u16) -> Self {
        Self::from_u64(((micros & MICROS_MASK) << CLOCK_ID_BITS) | (u64::from(clock_id) & CLOCK_ID_MASK))
    }

    /// Builds the TID of a 64-bit number.
    pub fn from_u64(mut number: u64) -> Self {
        let mut text = [0; TID_CHARS];
        for place in text.iter_mut().rev() {
            *place = digit(number);
            number >>= 5;
        }
        Self(text)
    }

    /// Builds a TID later than `previous`: of the time given if that is later, else one microsecond
    /// after `previous`. A repository's revisions so never go back when the clock does.
    pub fn next(previous: Option<&Self>, now_micros: u64, clock_id: u16) -> Self {
        let now_micros = now_micros & MICROS_MASK;
        match previous {
            Some(previous) if previous.micros() >= now_micros => {
                let micros = previous.micros() + 1;
                if micros > u64::MAX >> CLOCK_ID_BITS {
                    return Self::from_u64(previous.to_u64().saturating_add(1));
                }
                Self::from_u64((micros << CLOCK_ID_BITS) | (u64::from(clock_id) & CLOCK_ID_MASK))
            }
            _ => Self::from_parts(now_micros, clock_id),
        }
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The time, in microseconds since 1970.
    pub fn micros(&self) -> u64 {
        self.to_u64() >> CLOCK_ID_BITS
    }

    /// The clock identifier, 0 to 1023.
    pub fn clock_id(&self) -> u16 {
        u16::try_from(self.to_u64() & CLOCK_ID_MASK).unwrap_or_default()
    }

    /// The 64-bit number.
    pub fn to_u64(&self) -> u64 {
        self.0.iter().fold(0, |number, byte| (number << 5) | value(*byte))
    }
}

text_traits!(Tid);

fn digit(number: u64) -> u8 {
    let index = usize::try_from(number & 31).unwrap_or_default();
    ALPHABET.get(index).copied().unwrap_or(b'2')
}

fn value(byte: u8) -> u64 {
    match byte {
        b'2'..=b'7' => u64::from(byte - b'2'),
        _ => u64::from(byte - b'a') + 6,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn orders_as_its_number_does(a in any::<u64>(), b in any::<u64>()) {
            let (left, right) = (Tid::from_u64(a), Tid::from_u64(b));
            prop_assert_eq!(left.cmp(&right), a.cmp(&b));
            prop_assert_eq!(left.as_str().cmp(right.as_str()), a.cmp(&b));
            prop_assert_eq!(left.to_u64(), a);
            prop_assert_eq!(Tid::parse(left.as_str()), Ok(left));
        }

        #[test]
        fn next_is_always_later(previous in 0..u64::MAX, now_micros in any::<u64>(), clock_id in any::<u16>()) {
            let previous = Tid::from_u64(previous);
            prop_assert!(Tid::next(Some(&previous), now_micros, clock_id) > previous);
        }
    }

    #[test]
    fn next_is_later_even_when_the_clock_goes_back() {
        let first = Tid::next(None, 1_700_000_000_000_000, 5);
        assert_eq!((first.micros(), first.clock_id()), (1_700_000_000_000_000, 5));
        let same_instant = Tid::next(Some(&first), 1_700_000_000_000_000, 0);
        assert!(same_instant > first);
        assert_eq!(same_instant.micros(), first.micros() + 1);
        let clock_went_back = Tid::next(Some(&same_instant), 5, 0);
        assert!(clock_went_back > same_instant);
        let clock_went_on = Tid::next(Some(&clock_went_back), 1_800_000_000_000_000, 7);
        assert_eq!(clock_went_on, Tid::from_parts(1_800_000_000_000_000, 7));
    }

    #[test]
    fn next_copes_with_the_highest_tid() {
        let highest = Tid::from_u64(u64::MAX);
        assert_eq!(highest.as_str(), "jzzzzzzzzzzzz");
        assert_eq!(Tid::next(Some(&highest), 1, 1), highest);
        let last_of_53_bits = Tid::from_parts(MICROS_MASK, 3);
        assert!(Tid::next(Some(&last_of_53_bits), 0, 0) > last_of_53_bits);
    }
}
