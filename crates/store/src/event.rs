//! The event log: what the firehose serves, numbered in commit order.

use std::fmt;

use bytes::Bytes;

/// A sequence number of the event log: positive, increasing in commit order, below 2^53, never given twice.
pub type Seq = i64;

/// The largest number an event may have: what every JSON and CBOR reader takes without loss.
pub const SEQ_MAX: Seq = (1 << 53) - 1;

const MICROS_PER_DAY: i64 = 86_400_000_000;
/// 9999-12-31, in days since the Unix epoch.
const DAYS_SINCE_EPOCH_MAX: i64 = 2_932_896;

/// What an event tells, with the names of the firehose's message types.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum EventKind {
    /// `#commit`
    Commit,
    /// `#sync`
    Sync,
    /// `#identity`
    Identity,
    /// `#account`
    Account,
    /// The stored row is not what was appended: nothing of it can be trusted, and its frame is empty. Never appended.
    Damaged,
}

impl EventKind {
    /// The column's value.
    pub fn code(self) -> i64 {
        match self {
            Self::Commit => 1,
            Self::Sync => 2,
            Self::Identity => 3,
            Self::Account => 4,
            Self::Damaged => 0,
        }
    }

    /// Reads the column's value back.
    pub fn from_code(code: i64) -> Option<Self> {
        [Self::Commit, Self::Sync, Self::Identity, Self::Account].into_iter().find(|kind| kind.code() == code)
    }
}

/// A day of the event log in UTC; its number reads YYYYMMDD.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventDay(i64);

impl EventDay {
    /// The day a moment falls on, in microseconds since the Unix epoch; `None` outside the years 1970 to 9999.
    pub fn of_micros(micros: i64) -> Option<Self> {
        let days = micros.div_euclid(MICROS_PER_DAY);
        if !(0..=DAYS_SINCE_EPOCH_MAX).contains(&days) {
            return None;
        }
        // Years begin on 1 March here, so that the leap day is a year's last.
        let shifted = days + 719_468;
        let era = shifted / 146_097;
        let day_of_era = shifted % 146_097;
        let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let month_from_march = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
        let (month, next_year) =
            if month_from_march < 10 { (month_from_march + 3, 0) } else { (month_from_march - 9, 1) };
        Some(Self((era * 400 + year_of_era + next_year) * 10_000 + month * 100 + day))
    }

    /// Reads a number of the form YYYYMMDD as the catalogue keeps it.
    pub(crate) fn from_number(number: i64) -> Option<Self> {
        (19_700_101..=99_991_231).contains(&number).then_some(Self(number))
    }

    /// The day as the number YYYYMMDD.
    pub fn number(self) -> i64 {
        self.0
    }
}

impl fmt::Display for EventDay {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08}", self.0)
    }
}

/// An event to be appended; the engine gives it its number when the transaction commits.
///
/// The whole frame is `before ++ cbor(seq) ++ after`: the number's CBOR encoding varies in length,
/// so the encoded frame is kept as the bytes around it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewEvent {
    /// The account the event is about.
    pub did: String,
    /// Which message it is.
    pub kind: EventKind,
    /// When it was made, in microseconds since the Unix epoch; decides its day's table.
    pub time_micros: i64,
    /// The frame's bytes up to where the sequence number goes.
    pub before: Bytes,
    /// The frame's bytes behind the sequence number.
    pub after: Bytes,
}

/// A durable, numbered event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Event {
    /// The number.
    pub seq: Seq,
    /// The account the event is about.
    pub did: String,
    /// Which message it is.
    pub kind: EventKind,
    /// When it was made, in microseconds since the Unix epoch.
    pub time_micros: i64,
    /// The frame's bytes up to the sequence number.
    pub before: Bytes,
    /// The frame's bytes behind the sequence number.
    pub after: Bytes,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_civil_dates() {
        let day = |micros| EventDay::of_micros(micros).map(EventDay::number);
        assert_eq!(day(0), Some(19_700_101));
        assert_eq!(day(MICROS_PER_DAY - 1), Some(19_700_101));
        assert_eq!(day(MICROS_PER_DAY), Some(19_700_102));
        assert_eq!(day(951_782_400_000_000), Some(20_000_229));
        assert_eq!(day(951_868_800_000_000), Some(20_000_301));
        assert_eq!(day(4_107_542_400_000_000), Some(21_000_301));
        assert_eq!(day(1_795_478_400_000_000), Some(20_261_124));
        assert_eq!(day(DAYS_SINCE_EPOCH_MAX * MICROS_PER_DAY), Some(99_991_231));
        assert_eq!(day((DAYS_SINCE_EPOCH_MAX + 1) * MICROS_PER_DAY), None);
        assert_eq!(day(-1), None);
    }

    #[test]
    fn every_day_of_four_centuries_follows_the_one_before() {
        let mut previous = EventDay::of_micros(0).unwrap();
        for days in 1..146_097 {
            let day = EventDay::of_micros(days * MICROS_PER_DAY).unwrap();
            let (number, before) = (day.number(), previous.number());
            let next_day = number == before + 1;
            let next_month = number % 100 == 1 && number / 100 == before / 100 + 1;
            let next_year =
                number % 10_000 == 101 && number / 10_000 == before / 10_000 + 1 && before % 10_000 == 1_231;
            assert!(next_day || next_month || next_year, "{before} then {number}");
            previous = day;
        }
    }

    #[test]
    fn kinds_read_back() {
        for kind in [EventKind::Commit, EventKind::Sync, EventKind::Identity, EventKind::Account] {
            assert_eq!(EventKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(EventKind::from_code(0), None);
    }
}
