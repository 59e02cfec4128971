//! Adds up the test counts in the last lines of test runners.

use std::fmt;

/// Tests by their outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Passed.
    pub passed: u64,
    /// Failed.
    pub failed: u64,
    /// Skipped or ignored.
    pub skipped: u64,
    /// Failed first and passed when repeated.
    pub flaky: u64,
}

impl Counts {
    /// Adds every `test result:` line of `cargo test` in `output`.
    pub fn from_cargo_test(output: &str) -> Self {
        let mut counts = Self::default();
        for line in output.lines() {
            let Some(rest) = line.trim_start().strip_prefix("test result:") else { continue };
            for part in rest.split([';', '.']) {
                let mut words = part.split_whitespace();
                let (Some(number), Some(what)) = (words.next(), words.next()) else { continue };
                let Ok(number) = number.parse::<u64>() else { continue };
                match what {
                    "passed" => counts.passed += number,
                    "failed" => counts.failed += number,
                    "ignored" => counts.skipped += number,
                    _ => {}
                }
            }
        }
        counts
    }

    /// Reads nextest's summary, such as `Summary [ 1.2s] 9 tests run: 7 passed (1 flaky), 2 failed, 3 skipped`.
    pub fn from_nextest(output: &str) -> Self {
        let mut counts = Self::default();
        let summary = output.lines().rev().find(|line| line.trim_start().starts_with("Summary ["));
        let outcomes = summary.and_then(|line| line.split_once("run:")).map_or("", |(_, outcomes)| outcomes);
        let mut words = outcomes.split([' ', ',', '(', ')']).filter(|word| !word.is_empty());
        while let Some(number) = words.next() {
            let Ok(number) = number.parse::<u64>() else { continue };
            match words.next() {
                Some("passed") => counts.passed += number,
                Some("failed" | "timed" | "exec") => counts.failed += number,
                Some("skipped") => counts.skipped += number,
                Some("flaky") => counts.flaky += number,
                _ => {}
            }
        }
        counts
    }

    /// Adds a failure if the runner failed without reporting one: a test that does not compile, or a process that
    /// crashes, prints no summary.
    pub fn or_failed(mut self, succeeded: bool) -> Self {
        if !succeeded && self.failed == 0 {
            self.failed = 1;
        }
        self
    }

    /// Reads the summary of the Test Anything Protocol as printed by `node --test`.
    pub fn from_tap(output: &str) -> Self {
        let mut counts = Self::default();
        for line in output.lines() {
            let Some((what, number)) = line.strip_prefix("# ").and_then(|rest| rest.split_once(' ')) else {
                continue;
            };
            let Ok(number) = number.trim().parse::<u64>() else { continue };
            match what {
                "pass" => counts.passed += number,
                "fail" | "cancelled" => counts.failed += number,
                "skipped" | "todo" => counts.skipped += number,
                _ => {}
            }
        }
        counts
    }

    /// Adds the counts of another run.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
        self.flaky += other.flaky;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { passed, failed, skipped, flaky } = self;
        write!(f, "{passed} passed, {failed} failed, {skipped} skipped")?;
        if *flaky > 0 {
            write!(f, ", {flaky} passed only when tried again")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adds_up_summaries() {
        let output = "test a ... ok\n\
            test result: ok. 8 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.00s\n\
            test result: FAILED. 2 passed; 3 failed; 0 ignored; 0 measured; 0 filtered out\n";
        let counts = Counts::from_cargo_test(output);
        assert_eq!(counts, Counts { passed: 10, failed: 3, skipped: 1, flaky: 0 });
        assert_eq!(counts.to_string(), "10 passed, 3 failed, 1 skipped");
    }

    #[test]
    fn reads_the_summary_of_nextest() {
        let output = "     Summary [  12.345s] 9 tests run: 6 passed (1 flaky, 1 slow), 2 failed, 1 timed out, 3 skipped\n";
        assert_eq!(Counts::from_nextest(output), Counts { passed: 6, failed: 3, skipped: 3, flaky: 1 });
        assert_eq!(Counts::from_nextest("error: could not compile"), Counts::default());
        assert_eq!(Counts::default().or_failed(false).failed, 1);
        assert_eq!(Counts::default().or_failed(true).failed, 0);
        assert_eq!(Counts { failed: 2, ..Counts::default() }.or_failed(false).failed, 2);
    }

    #[test]
    fn reads_the_summary_of_tap() {
        let output = "TAP version 13\nok 1 - a\n# tests 4\n# suites 0\n# pass 2\n# fail 1\n# cancelled 1\n# skipped 3\n";
        let mut counts = Counts::from_tap(output);
        assert_eq!(counts, Counts { passed: 2, failed: 2, skipped: 3, flaky: 0 });
        counts.add(Counts { passed: 1, failed: 0, skipped: 1, flaky: 2 });
        assert_eq!(counts, Counts { passed: 3, failed: 2, skipped: 4, flaky: 2 });
        assert_eq!(counts.to_string(), "3 passed, 2 failed, 4 skipped, 2 passed only when tried again");
    }

    #[test]
    fn a_run_without_a_summary_counts_nothing() {
        assert_eq!(Counts::from_cargo_test("error: could not compile"), Counts::default());
    }
}
