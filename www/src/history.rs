//! The list of past runs, as stored by the browser. An entry may be damaged or from a later version of the page: its
//! readable parts are shown, and any entry with a number can be deleted.

use serde_json::Value;

use crate::shared_runs::shown_name;

/// A past run.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its number.
    pub id: f64,
    /// Its name.
    pub name: String,
    /// Time of saving, in milliseconds since 1970.
    pub saved_at_ms: Option<f64>,
    /// The headline and the machine.
    pub summary: String,
    /// Whether a part of the entry cannot be read.
    pub damaged: bool,
}

/// Longest summary shown, in characters.
const MAX_SUMMARY: usize = 300;

/// The runs in `json`, the latest first. Values that are not entries are omitted.
pub fn runs(json: &str) -> Vec<Run> {
    let Ok(Value::Array(entries)) = serde_json::from_str::<Value>(json) else { return Vec::new() };
    let mut runs: Vec<Run> = entries.iter().filter_map(run).collect();
    runs.sort_by(|a, b| {
        let at = |run: &Run| run.saved_at_ms.unwrap_or(0.0);
        at(b).total_cmp(&at(a)).then(b.id.total_cmp(&a.id))
    });
    runs
}

fn run(entry: &Value) -> Option<Run> {
    let id = entry.get("id")?.as_f64()?;
    let name = entry.get("name").and_then(Value::as_str).map(shown_name);
    let saved_at_ms = entry
        .get("savedAtMs")
        .and_then(Value::as_f64)
        .filter(|at| (0.0..=253_402_300_800_000.0).contains(at));
    let summary = entry.get("summary").and_then(Value::as_str).unwrap_or_default();
    Some(Run {
        id,
        damaged: name.is_none() || saved_at_ms.is_none(),
        name: name.unwrap_or_default(),
        saved_at_ms,
        summary: summary.chars().filter(|c| !c.is_control()).take(MAX_SUMMARY).collect(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_run_is_first() {
        let all = runs(
            r#"[{"id":1,"name":"a","savedAtMs":5,"summary":"s"},{"id":2,"name":"b","savedAtMs":7,"summary":""}]"#,
        );
        assert_eq!(all.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["b", "a"]);
        assert!(all.iter().all(|run| !run.damaged));
        assert_eq!(all[1].summary, "s");
    }

    #[test]
    fn fault_29_damaged_and_future_entries_are_listed() {
        let all = runs(
            r#"[null, 7, {}, {"id":"x"}, {"id":3}, {"id":4,"name":{"en":"later"},"savedAtMs":1e99,"tags":[]},
                {"id":5,"name":"\u202eevil\u0000","savedAtMs":1,"summary":9}]"#,
        );
        assert_eq!(all.iter().map(|run| run.id).collect::<Vec<_>>(), [5.0, 4.0, 3.0]);
        assert_eq!((all[0].name.as_str(), all[0].damaged), ("evil", false));
        assert!(all[1].damaged && all[2].damaged);
        for bad in ["", "{}", "[", "null"] {
            assert!(runs(bad).is_empty());
        }
    }
}
