//! Timestamps as text.

use super::text_type;

/// The longest timestamp, in bytes.
const DATETIME_BYTES_MAX: usize = 64;
const DAY_SECS: i64 = 24 * 60 * 60;
/// The last millisecond of the year 9999, since 1970.
const YEAR_9999_END_MILLIS: u64 = 253_402_300_799_999;

text_type!(
    /// A point in time with its zone, such as `1985-04-12T23:20:50.123Z`.
    ///
    /// Accepts what RFC 3339, ISO 8601 and the web agree on. The text is kept as given and never
    /// rewritten, whatever the number of digits.
    ///
    /// Spec: <https://atproto.com/specs/lexicon#datetime>
    Datetime, "datetime", |text| parts(text).map(|_| ())
);

impl Datetime {
    /// Writes a time, given in milliseconds since 1970, in UTC with three digits of fraction. Times
    /// beyond the year 9999 are written as its end.
    pub fn from_unix_millis(millis: u64) -> Self {
        let millis = millis.min(YEAR_9999_END_MILLIS);
        let (secs, fraction) = (millis / 1000, millis % 1000);
        let (hour, minute, second) = (secs / 3600 % 24, secs / 60 % 60, secs % 60);
        let (year, month, day) = civil_from_days(i64::try_from(secs).unwrap_or_default() / DAY_SECS);
        Self(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{fraction:03}Z").into())
    }

    /// Writes a time, given in microseconds since 1970, in UTC with three digits of fraction.
    pub fn from_unix_micros(micros: u64) -> Self {
        Self::from_unix_millis(micros / 1000)
    }

    /// The time in microseconds since 1970; negative before. Finer digits are dropped.
    pub fn unix_micros(&self) -> i64 {
        parts(self.as_str()).unwrap_or_default()
    }
}

/// Checks the text and gives its time in microseconds since 1970.
fn parts(text: &str) -> Result<i64, &'static str> {
    const SHAPE: &str = "must look like 1985-04-12T23:20:50.123Z";
    if text.len() > DATETIME_BYTES_MAX {
        return Err("longer than 64 characters");
    }
    let mut reader = Reader { rest: text.as_bytes() };
    let year = reader.number(4).ok_or(SHAPE)?;
    let month = reader.after(b'-').and_then(|r| r.number(2)).ok_or(SHAPE)?;
    let day = reader.after(b'-').and_then(|r| r.number(2)).ok_or(SHAPE)?;
    let hour = reader.after(b'T').and_then(|r| r.number(2)).ok_or(SHAPE)?;
    let minute = reader.after(b':').and_then(|r| r.number(2)).ok_or(SHAPE)?;
    let second = reader.after(b':').and_then(|r| r.number(2)).ok_or(SHAPE)?;
    let fraction_micros = reader.fraction().ok_or(SHAPE)?;
    let offset_secs = reader.offset().ok_or("needs a time zone: \"Z\" or as in \"+01:00\", not \"-00:00\"")?;

    if !(1..=12).contains(&month) || day < 1 || day > days_in_month(year, month) {
        return Err("there is no such day");
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err("there is no such time of day");
    }
    let secs = days_from_civil(year, month, day) * DAY_SECS + hour * 3600 + minute * 60 + second - offset_secs;
    if secs < days_from_civil(0, 1, 1) * DAY_SECS {
        return Err("lies before the year 0");
    }
    if secs >= days_from_civil(10_000, 1, 1) * DAY_SECS {
        return Err("lies after the year 9999");
    }
    Ok(secs * 1_000_000 + fraction_micros)
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn after(&mut self, byte: u8) -> Option<&mut Self> {
        let (first, rest) = self.rest.split_first()?;
        (*first == byte).then(|| {
            self.rest = rest;
            self
        })
    }

    fn number(&mut self, digits: usize) -> Option<i64> {
        let (number, rest) = self.rest.split_at_checked(digits)?;
        self.rest = rest;
        number.iter().try_fold(0, |sum, b| b.is_ascii_digit().then(|| sum * 10 + i64::from(b - b'0')))
    }

    /// Reads `.123` if it is there, as microseconds.
    fn fraction(&mut self) -> Option<i64> {
        if self.after(b'.').is_none() {
            return Some(0);
        }
        let count = self.rest.iter().take_while(|b| b.is_ascii_digit()).count();
        let (digits, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        let micros = (0..6).fold(0, |sum, place| sum * 10 + digits.get(place).map_or(0, |b| i64::from(b - b'0')));
        (count > 0).then_some(micros)
    }

    /// Reads the zone up to the end of the text, as seconds east of UTC.
    fn offset(&mut self) -> Option<i64> {
        if self.after(b'Z').is_some() {
            return self.rest.is_empty().then_some(0);
        }
        let sign = if self.after(b'+').is_some() { 1 } else { self.after(b'-').map(|_| -1)? };
        let hours = self.number(2)?;
        let minutes = self.after(b':')?.number(2)?;
        let offset = sign * (hours * 3600 + minutes * 60);
        (self.rest.is_empty() && hours < 24 && minutes < 60 && !(sign < 0 && offset == 0)).then_some(offset)
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from 1970-01-01 to a day of the Gregorian calendar, which is taken to hold for all years.
///
/// Years are counted from March, so that the leap day comes last, in cycles of 400 years.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let march_year = if month <= 2 { year - 1 } else { year };
    let cycle = march_year.div_euclid(400);
    let year_of_cycle = march_year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_cycle = year_of_cycle * 365 + year_of_cycle / 4 - year_of_cycle / 100 + day_of_year;
    cycle * 146_097 + day_of_cycle - 719_468
}

/// The inverse of [`days_from_civil`]: year, month, day.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let cycle = shifted.div_euclid(146_097);
    let day_of_cycle = shifted.rem_euclid(146_097);
    let year_of_cycle = (day_of_cycle - day_of_cycle / 1_460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year = day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    let year = cycle * 400 + year_of_cycle + i64::from(month <= 2);
    (year, month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_and_reads_the_same_instant() {
        assert_eq!(Datetime::from_unix_millis(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(Datetime::from_unix_micros(482_196_050_123_999), "1985-04-12T23:20:50.123Z");
        assert_eq!(Datetime::from_unix_millis(951_782_400_000), "2000-02-29T00:00:00.000Z");
        assert_eq!(Datetime::from_unix_millis(u64::MAX), "9999-12-31T23:59:59.999Z");
        assert_eq!(Datetime::parse("1985-04-13T01:20:50.123456789+02:00").unwrap().unix_micros(), 482_196_050_123_456);
        assert_eq!(Datetime::parse("1969-12-31T23:59:59.5Z").unwrap().unix_micros(), -500_000);
    }

    #[test]
    fn every_day_of_eight_centuries_comes_back() {
        let mut expected = days_from_civil(1600, 1, 1);
        for year in 1600..2400 {
            for month in 1..=12 {
                for day in 1..=days_in_month(year, month) {
                    assert_eq!(days_from_civil(year, month, day), expected);
                    assert_eq!(civil_from_days(expected), (year, month, day));
                    expected += 1;
                }
            }
        }
    }

    #[test]
    fn refuses_days_and_times_that_are_not() {
        for text in ["2023-02-29T00:00:00Z", "2023-04-31T00:00:00Z", "2023-01-01T24:00:00Z", "2023-01-01T00:00:60Z"] {
            assert!(Datetime::parse(text).is_err(), "{text}");
        }
        assert!(Datetime::parse("2024-02-29T00:00:00Z").is_ok());
    }

    #[test]
    fn lies_within_the_years_of_four_digits_in_utc() {
        for text in ["9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999+23:59", "0000-01-01T01:00:00+01:00"] {
            assert!(Datetime::parse(text).is_ok(), "{text}");
        }
        for text in ["9999-12-31T23:59:59.999-23:59", "9999-12-31T23:59:59-00:01", "0000-01-01T00:00:00+01:00"] {
            assert!(Datetime::parse(text).is_err(), "{text}");
        }
    }
}
