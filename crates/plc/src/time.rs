//! Times as directories write them, and the clock of the service.

/// Tells the wall-clock time.
pub trait Clock: Send + Sync + 'static {
    /// Microseconds since the Unix epoch.
    fn now_micros(&self) -> u64;
}

impl<F: Fn() -> u64 + Send + Sync + 'static> Clock for F {
    fn now_micros(&self) -> u64 {
        self()
    }
}

/// Writes milliseconds since the Unix epoch as `2026-01-02T03:04:05.678Z`.
pub(crate) fn format_millis(millis: u64) -> String {
    let stamp = i64::try_from(millis).ok().and_then(|millis| jiff::Timestamp::from_millisecond(millis).ok());
    format!("{:.3}", stamp.unwrap_or(jiff::Timestamp::MAX))
}

/// Reads an RFC 3339 time of 1970 or later; digits behind the millisecond are dropped.
pub(crate) fn parse_millis(text: &str) -> Option<u64> {
    text.parse::<jiff::Timestamp>().ok().and_then(|stamp| u64::try_from(stamp.as_millisecond()).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_it_reads() {
        for text in ["1970-01-01T00:00:00.000Z", "2025-07-26T00:00:00.000Z", "2022-11-17T01:07:13.996Z"] {
            assert_eq!(format_millis(parse_millis(text).unwrap()), text);
        }
        assert_eq!(parse_millis("2025-07-26T02:00:00.0009+02:00"), parse_millis("2025-07-26T00:00:00Z"));
        assert_eq!(parse_millis("1969-12-31T23:59:59Z"), None);
        assert_eq!(parse_millis("yesterday"), None);
    }
}
