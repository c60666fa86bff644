//! Telephone numbers in international form (E.164).

use std::fmt;

/// The digits that a number has at the least and at the most, the country's code with them.
const DIGITS: std::ops::RangeInclusive<usize> = 7..=15;

/// A telephone number: `+`, the country's code and the rest, nothing between.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct PhoneNumber(String);

/// The text is no telephone number that says which country it is of.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("not a phone number in international form, such as +14155550123")]
pub struct NotANumber;

impl PhoneNumber {
    /// Reads a number as people write it: `00` for `+`, with spaces, dots, hyphens and brackets.
    pub fn parse(text: &str) -> Result<Self, NotANumber> {
        let text = text.trim().trim_start_matches("tel:");
        let plain: String = text.chars().filter(|c| !is_between_digits(*c)).collect();
        let digits = plain.strip_prefix('+').or_else(|| plain.strip_prefix("00")).ok_or(NotANumber)?;
        let is_number = DIGITS.contains(&digits.len())
            && digits.bytes().all(|digit| digit.is_ascii_digit())
            // No country's code begins with 0.
            && !digits.starts_with('0');
        if is_number { Ok(Self(format!("+{digits}"))) } else { Err(NotANumber) }
    }

    /// The number in international form.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// A number that is shown in a log says no more than its country.
impl fmt::Debug for PhoneNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PhoneNumber({}…)", self.0.get(..3).unwrap_or_default())
    }
}

fn is_between_digits(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '-' | '.' | '/' | '(' | ')' | '\u{2010}'..='\u{2014}')
        // Marks of direction that come along when a number is copied.
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_number_is_one_number_however_it_is_written() {
        for text in [
            "+14155550123",
            " +1 (415) 555-0123 ",
            "001 415 555 0123",
            "tel:+1-415-555-0123",
            "+1.415.555.0123",
            "\u{202a}+1\u{a0}415\u{2011}555\u{2011}0123\u{202c}",
        ] {
            assert_eq!(PhoneNumber::parse(text).unwrap().as_str(), "+14155550123", "{text:?}");
        }
    }

    #[test]
    fn what_has_no_country_or_no_number_is_none() {
        for text in [
            "",
            "+",
            "00",
            "4155550123",
            "+0415555012",
            "000415555012",
            "+123456",
            "+1234567890123456",
            "+1415555x123",
            "++14155550123",
            "+1415+5550123",
            "+١٤١٥٥٥٥٠١٢٣",
            "+14155550123,+14155550124",
            "+1415555012\u{0}3",
        ] {
            assert_eq!(PhoneNumber::parse(text), Err(NotANumber), "{text:?}");
        }
        assert_eq!(format!("{:?}", PhoneNumber::parse("+14155550123").unwrap()), "PhoneNumber(+14…)");
    }
}
