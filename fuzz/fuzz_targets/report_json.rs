//! Dropped files: whatever is read as a report passes every check, and survives its own JSON, link and exports.
#![no_main]

use libfuzzer_sys::fuzz_target;
use report::Report;

fuzz_target!(|text: &str| {
    let Ok(report) = Report::from_json(text) else { return };
    assert_eq!(report.validate(), Ok(()));
    let json = serde_json::to_string(&report).expect("a report is JSON");
    assert_eq!(Report::from_json(&json).as_ref(), Ok(&report));
    let _ = report::encode_link(&report);
    let _ = (report.to_csv(), report.to_markdown(), report.file_name("json"));
});
