//! How many tests passed and failed, read from what each test runner prints.

use std::ops::AddAssign;

/// Passed and failed tests.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Count {
    pub(super) passed: usize,
    pub(super) failed: usize,
}

impl AddAssign for Count {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
    }
}

impl Count {
    /// One check.
    pub(super) fn one(passed: bool) -> Self {
        Self { passed: usize::from(passed), failed: usize::from(!passed) }
    }

    /// Reads a line of `cargo test`: `test result: ok. 3 passed; 0 failed; …`.
    pub(super) fn of_cargo(line: &str) -> Self {
        let Some(result) = line.trim().strip_prefix("test result: ") else { return Self::default() };
        let number = |word: &str| result.split([';', '.']).find_map(|part| number_before(part, word)).unwrap_or(0);
        Self { passed: number("passed"), failed: number("failed") }
    }

    /// Reads a line of node's TAP report: `# pass 3` or `# fail 0`.
    pub(super) fn of_tap(line: &str) -> Self {
        let number = |word: &str| line.strip_prefix(word).and_then(|rest| rest.trim().parse().ok()).unwrap_or(0);
        Self { passed: number("# pass "), failed: number("# fail ") + number("# cancelled ") }
    }

    /// Reads a line of a verbose `unittest` report: `… ... ok`, `… ... FAIL` or `… ... ERROR`.
    pub(super) fn of_unittest(line: &str) -> Self {
        let Some((_, result)) = line.rsplit_once(" ... ") else { return Self::default() };
        match result.trim() {
            "ok" => Self::one(true),
            "FAIL" | "ERROR" => Self::one(false),
            _ => Self::default(),
        }
    }

    /// Lets the runner's exit status count: a failure without a failed test (it did not compile, say) is one, and so
    /// is a success without a single test.
    pub(super) fn with_status(mut self, success: bool) -> Self {
        if (!success && self.failed == 0) || (success && self.passed == 0) {
            self.failed += 1;
        }
        self
    }
}

/// Reads `3` from ` 3 passed` for the word `passed`.
fn number_before(part: &str, word: &str) -> Option<usize> {
    part.trim().strip_suffix(word)?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(passed: usize, failed: usize) -> Count {
        Count { passed, failed }
    }

    #[test]
    fn reads_cargo() {
        let line = "test result: FAILED. 12 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.1s";
        assert_eq!(Count::of_cargo(line), count(12, 3));
        assert_eq!(Count::of_cargo("test result: ok. 7 passed; 0 failed; 0 ignored"), count(7, 0));
        assert_eq!(Count::of_cargo("test a ... ok"), count(0, 0));
    }

    #[test]
    fn reads_node_and_python() {
        assert_eq!(Count::of_tap("# pass 4"), count(4, 0));
        assert_eq!(Count::of_tap("# fail 2"), count(0, 2));
        assert_eq!(Count::of_tap("# passing remark"), count(0, 0));
        assert_eq!(Count::of_unittest("test_plc_op (__main__.CreateAccount) ... ok"), count(1, 0));
        assert_eq!(Count::of_unittest("test_plc_op (__main__.CreateAccount) ... ERROR"), count(0, 1));
    }

    #[test]
    fn a_runner_that_fails_or_runs_nothing_is_a_failure() {
        assert_eq!(count(0, 0).with_status(false), count(0, 1));
        assert_eq!(count(0, 0).with_status(true), count(0, 1));
        assert_eq!(count(5, 0).with_status(true), count(5, 0));
        assert_eq!(count(5, 2).with_status(false), count(5, 2));
    }
}
