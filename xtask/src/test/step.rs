//! A step of the test run, its outcome, and the summary at the end.

use std::io::{self, BufRead, BufReader};
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

use super::Surroundings;
use super::count::Count;
use crate::timing;

/// One step.
pub(super) struct Step {
    pub(super) name: &'static str,
    pub(super) about: &'static str,
    pub(super) run: fn(&Surroundings<'_>) -> io::Result<Outcome>,
}

/// How a step ended.
pub(super) enum Outcome {
    /// It ran.
    Ran(Count),
    /// It lacks something a person has to install; a failure in CI.
    Lacks(String),
    /// It is not needed for a full run.
    NotNeeded(String),
}

/// The steps that ran.
#[derive(Default)]
pub(super) struct Report {
    lines: Vec<Line>,
}

struct Line {
    name: &'static str,
    time: Duration,
    count: Count,
    remark: Option<String>,
}

impl Report {
    /// Runs a step and remembers how it went.
    pub(super) fn add(&mut self, step: &Step, at: &Surroundings<'_>) {
        crate::say(&format!("\n=== {}: {}", step.name, step.about));
        let start = timing::now();
        let (count, remark) = match (step.run)(at) {
            Ok(Outcome::Ran(count)) => (count, None),
            Ok(Outcome::NotNeeded(reason)) => (Count::default(), Some(format!("left out: {reason}"))),
            Ok(Outcome::Lacks(reason)) if at.in_ci => (Count::one(false), Some(format!("MISSING: {reason}"))),
            Ok(Outcome::Lacks(reason)) => (Count::default(), Some(format!("SKIPPED, NOT TESTED: {reason}"))),
            Err(error) => (Count::one(false), Some(error.to_string())),
        };
        if let Some(remark) = &remark {
            crate::say(remark);
        }
        self.lines.push(Line { name: step.name, time: start.elapsed(), count, remark });
    }

    /// Prints the steps with their times, and the sum.
    pub(super) fn print(&self) {
        crate::tell("\nstep        seconds  passed  failed");
        for line in &self.lines {
            let remark = line.remark.as_deref().map(|remark| format!("  {remark}")).unwrap_or_default();
            let (seconds, Count { passed, failed }) = (line.time.as_secs_f64(), line.count);
            crate::tell(&format!("{:<10} {seconds:>8.1} {passed:>7} {failed:>7}{remark}", line.name));
        }
        let sum = self.sum();
        crate::tell(&format!("\n{} passed, {} failed", sum.passed, sum.failed));
    }

    /// Tells whether anything failed.
    pub(super) fn failed(&self) -> bool {
        self.sum().failed > 0
    }

    fn sum(&self) -> Count {
        let mut sum = Count::default();
        self.lines.iter().for_each(|line| sum += line.count);
        sum
    }
}

/// Runs a command, shows its standard output as it comes, and hands over every line.
pub(super) fn stream(command: &mut Command, mut line_seen: impl FnMut(&str)) -> io::Result<ExitStatus> {
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    if let Some(output) = child.stdout.take() {
        for line in BufReader::new(output).split(b'\n') {
            let line = line?;
            let line = String::from_utf8_lossy(&line);
            crate::tell(&line);
            line_seen(&line);
        }
    }
    child.wait()
}
