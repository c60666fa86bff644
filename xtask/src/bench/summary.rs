//! Percentiles of measured times.

use std::time::Duration;

use serde_json::{Value, json};

use super::rounded;

/// Sums up times as milliseconds: smallest, median, 95th and 99th percentile, largest.
pub(super) fn millis(times: &[Duration]) -> Value {
    let mut sorted: Vec<f64> = times.iter().map(|time| time.as_secs_f64() * 1000.0).collect();
    sorted.sort_by(f64::total_cmp);
    let at = |percent: usize| rounded(percentile(&sorted, percent));
    json!({ "min": at(0), "p50": at(50), "p95": at(95), "p99": at(99), "max": at(100) })
}

/// Takes the value that so many percent of the sorted values do not exceed (nearest rank).
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_the_nearest_rank() {
        let values: Vec<f64> = (1..=100).map(f64::from).collect();
        let taken = [0, 50, 95, 99, 100].map(|percent| percentile(&values, percent).to_string());
        assert_eq!(taken, ["1", "50", "95", "99", "100"]);
        assert_eq!(percentile(&[7.0], 99).to_string(), "7");
        assert!(percentile(&[], 50).is_nan());
    }
}
