//! Lists the slowest tests from the output of their runners.

use std::fmt::Write as _;

use serde_json::Value;

/// A test and its time.
#[derive(Debug, Clone, PartialEq)]
pub struct Slow {
    /// Name as printed by the runner.
    pub name: String,
    /// Duration in seconds.
    pub seconds: f64,
}

/// Length of the list.
const LISTED: usize = 20;

/// A list of the slowest tests, the slowest first; empty if no test has a time.
pub fn summary(mut tests: Vec<Slow>) -> String {
    if tests.is_empty() {
        return String::new();
    }
    tests.sort_by(|a, b| b.seconds.total_cmp(&a.seconds));
    let mut text = "── slowest tests\n".to_owned();
    for Slow { name, seconds } in tests.iter().take(LISTED) {
        let _ = writeln!(text, "   {seconds:>8.1} s  {name}");
    }
    text
}

/// Tests in nextest's lines, such as `PASS [   0.013s] (12/34) kernels ops::tests::name`.
pub fn of_nextest(output: &str) -> Vec<Slow> {
    let lines = output.lines().filter_map(|line| {
        let (status, rest) = line.trim_start().split_once('[')?;
        if !matches!(status.trim(), "PASS" | "FAIL" | "FLAKY" | "TIMEOUT") {
            return None;
        }
        let (seconds, rest) = rest.split_once("s]")?;
        let seconds = seconds.trim().parse().ok()?;
        let name = rest.trim_start();
        let name = if name.starts_with('(') { name.split_once(')')?.1.trim_start() } else { name };
        Some(Slow { name: name.to_owned(), seconds })
    });
    lines.collect()
}

/// Tests in Playwright's JSON report.
pub fn of_playwright(report: &Value) -> Vec<Slow> {
    let mut tests = Vec::new();
    for suite in array(report, "suites") {
        collect(suite, &mut tests);
    }
    tests
}

fn collect(suite: &Value, tests: &mut Vec<Slow>) {
    for inner in array(suite, "suites") {
        collect(inner, tests);
    }
    for spec in array(suite, "specs") {
        let title = spec["title"].as_str().unwrap_or_default();
        let file = spec["file"].as_str().unwrap_or_default();
        for test in array(spec, "tests") {
            let millis: f64 =
                array(test, "results").iter().filter_map(|result| result["duration"].as_f64()).sum();
            tests.push(Slow { name: format!("{file}: {title}"), seconds: millis / 1000.0 });
        }
    }
}

fn array<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_lines_give_names_and_seconds() {
        let output = "    Starting 2 tests across 1 binary\n        PASS [   0.013s] (1/2) mixer tests::a\n        \
            FAIL [  61.500s] (2/2) compute::gpu_parity mega\n     Summary [  61.600s] 2 tests run: 1 passed, 1 failed\n";
        assert_eq!(
            of_nextest(output),
            [
                Slow { name: "mixer tests::a".to_owned(), seconds: 0.013 },
                Slow { name: "compute::gpu_parity mega".to_owned(), seconds: 61.5 }
            ]
        );
    }

    #[test]
    fn a_playwright_report_gives_every_test_of_nested_suites() {
        let report = serde_json::json!({ "suites": [{ "suites": [{ "specs": [
            { "title": "b", "file": "a.spec.js", "tests": [{ "results": [{ "duration": 500 }, { "duration": 1500 }] }] }
        ] }], "specs": [] }] });
        assert_eq!(of_playwright(&report), [Slow { name: "a.spec.js: b".to_owned(), seconds: 2.0 }]);
    }

    #[test]
    fn the_slowest_comes_first_and_the_list_is_short() {
        let tests =
            (0..30).map(|index| Slow { name: format!("t{index}"), seconds: f64::from(index) }).collect();
        let text = summary(tests);
        assert!(text.lines().nth(1).is_some_and(|line| line.ends_with("t29")), "{text}");
        assert_eq!(text.lines().count(), 1 + LISTED);
        assert_eq!(summary(Vec::new()), "");
    }
}
