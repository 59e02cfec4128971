//! Results other than the current race: compared ones, opened ones, dropped and pasted ones.

use std::sync::Arc;

use leptos::prelude::*;
use report::Report;
use wasm_bindgen::prelude::*;

use crate::history::Run;
use crate::overlay::MAX_REPORTS;
use crate::shared_runs::{self, Brought, measured};
use crate::state::Phase;
use chart::machine;

use super::hooks;
use super::parts;
use super::store::Store;

/// A compared report.
#[derive(Clone)]
pub struct Entry {
    /// Number that identifies the report.
    pub key: u32,
    /// Its name.
    pub name: String,
    /// The report.
    pub report: Arc<Report>,
}

/// Signals of sharing, comparison and past runs. Cheap to copy.
#[derive(Clone, Copy)]
pub struct SharedRuns {
    /// The compared reports, in the order of their letters.
    pub compared: RwSignal<Vec<Entry>>,
    /// The opened report, where the shown one was not measured here.
    pub opened: RwSignal<Option<Arc<Report>>>,
    /// The report with which the current race will be compared.
    against: StoredValue<Option<Arc<Report>>>,
    /// Names and error messages of inputs that could not be opened.
    pub refused: RwSignal<Vec<String>>,
    /// Whether the sharing dialog is open.
    pub sharing: RwSignal<bool>,
    /// Whether the export dialog is open.
    pub exporting: RwSignal<bool>,
    /// Whether the embedding dialog is open.
    pub embedding: RwSignal<bool>,
    /// Past runs.
    pub runs: RwSignal<Vec<Run>>,
    /// The error of the storage, if any.
    pub history_problem: RwSignal<Option<String>>,
    /// The last stored report.
    pub kept: StoredValue<Option<Arc<Report>>>,
    keys: StoredValue<u32>,
}

impl SharedRuns {
    /// No reports.
    pub fn new() -> Self {
        Self {
            compared: RwSignal::new(Vec::new()),
            opened: RwSignal::new(None),
            against: StoredValue::new(None),
            refused: RwSignal::new(Vec::new()),
            sharing: RwSignal::new(false),
            exporting: RwSignal::new(false),
            embedding: RwSignal::new(false),
            runs: RwSignal::new(Vec::new()),
            history_problem: RwSignal::new(None),
            kept: StoredValue::new(None),
            keys: StoredValue::new(0),
        }
    }

    fn push(self, name: String, report: Arc<Report>) -> bool {
        let room = self.compared.with_untracked(|all| all.len() < MAX_REPORTS);
        if room {
            self.keys.update_value(|key| *key += 1);
            let key = self.keys.get_value();
            self.compared.update(|all| all.push(Entry { key, name, report }));
        }
        room
    }
}

/// Starts accepting files dropped on the page.
pub fn watch(store: Store) {
    wasm_bindgen_futures::spawn_local(async move {
        if let Ok(files) = parts::files().await {
            let take = taker(store);
            files.watch(Report::MAX_JSON_BYTES as f64, &take);
        }
    });
}

/// Reads chosen files.
pub fn read_files(store: Store, files: JsValue) {
    wasm_bindgen_futures::spawn_local(async move {
        let text = store.text();
        let take = taker(store);
        let read = match parts::files().await {
            Ok(part) => part.read(&files, Report::MAX_JSON_BYTES as f64, &take).await,
            Err(error) => Err(error),
        };
        if let Err(error) = read {
            let missing = parts::error_name(&error) == parts::MISSING;
            let reason = if missing { text.travel.part_missing } else { text.travel.file_unreadable };
            refuse(store, vec![reason.to_owned()]);
        }
    });
}

/// The callback of `files.js` for each file's name, text and size.
fn taker(store: Store) -> JsValue {
    Closure::<dyn FnMut(String, JsValue, f64)>::new(move |name: String, content: JsValue, size: f64| {
        if content.is_undefined() {
            let text = store.text();
            let name = shared_runs::shown_name(&name);
            refuse(store, vec![(text.travel.not_added)(&name, text.travel.file_unreadable)]);
        } else {
            take(store, shared_runs::read(&name, content.as_string().as_deref(), size, store.text()));
        }
    })
    .into_js_value()
}

/// Reads pasted text; returns whether all of it was accepted.
pub fn paste(store: Store, pasted: &str) -> bool {
    take(store, shared_runs::read("", Some(pasted), pasted.len() as f64, store.text()))
}

fn refuse(store: Store, reasons: Vec<String>) {
    store.shared_runs().refused.set(reasons);
}

/// Opens a single report where the page shows no measurement, and otherwise adds the reports to the comparison. Errors
/// are shown, and the page's content stays.
fn take(store: Store, all: Vec<Brought>) -> bool {
    let text = store.text();
    let shared_runs = store.shared_runs();
    let mut reasons = Vec::new();
    let alone = all.len() == 1
        && shared_runs.compared.with_untracked(Vec::is_empty)
        && store.report.with_untracked(Option::is_none)
        && store.phase.get_untracked() == Phase::Idle;
    for Brought { name, report } in all {
        match report {
            Ok(report) if alone => {
                store.show(*report);
                go_to("race");
            }
            Ok(report) => {
                let name = name.unwrap_or_else(|| name_of(store, &report));
                if shared_runs.compared.with_untracked(Vec::is_empty) {
                    add_shown(store);
                }
                if shared_runs.push(name.clone(), Arc::from(report)) {
                    store.said.set((text.travel.added)(&name));
                    go_to("compare");
                } else {
                    reasons
                        .push((text.travel.not_added)(&name, &(text.travel.too_many_reports)(MAX_REPORTS)));
                }
            }
            Err(reason) => {
                reasons.push(match name {
                    Some(name) => (text.travel.not_added)(&name, &reason),
                    None => reason,
                });
            }
        }
    }
    // Links of one file that are refused for the same reason share one line.
    reasons.dedup();
    let good = reasons.is_empty();
    refuse(store, reasons);
    good
}

/// Adds a report to the comparison. The shown report is added first where the comparison is empty.
pub fn compare(store: Store, name: &str, report: Arc<Report>) {
    if store.shared_runs().compared.with_untracked(Vec::is_empty) {
        add_shown(store);
    }
    let already =
        store.shared_runs().compared.with_untracked(|all| all.iter().any(|entry| *entry.report == *report));
    if !already && !store.shared_runs().push(name.to_owned(), report) {
        let text = store.text();
        refuse(store, vec![(text.travel.not_added)(name, &(text.travel.too_many_reports)(MAX_REPORTS))]);
        return;
    }
    go_to("compare");
}

/// Adds the shown report to the comparison.
pub fn compare_shown(store: Store) {
    if let Some(report) = store.report.get_untracked() {
        add_shown(store);
        compare(store, "", report);
    }
}

/// Adds the shown report, if it has a result and is not in the comparison yet.
pub fn add_shown(store: Store) {
    let Some(report) = store.report.get_untracked().filter(|report| measured(report)) else { return };
    if store.shared_runs().compared.with_untracked(|all| all.iter().any(|entry| *entry.report == *report)) {
        return;
    }
    let own = !is_opened(store);
    let name = name_of(store, &report);
    let name = if own { format!("{} · {name}", store.text().travel.mine) } else { name };
    store.shared_runs().push(name, report);
}

/// The machine and the day.
fn name_of(store: Store, report: &Report) -> String {
    let mut parts = vec![machine::summary(report, store.text().words)];
    parts.extend(report.day());
    parts.retain(|part| !part.is_empty());
    shared_runs::shown_name(&parts.join(" · "))
}

/// Whether the shown report was opened, not measured here.
pub fn is_opened(store: Store) -> bool {
    store.report.with(|shown| {
        store.shared_runs().opened.with(|opened| {
            shown.as_ref().zip(opened.as_ref()).is_some_and(|(shown, opened)| Arc::ptr_eq(shown, opened))
        })
    })
}

/// Runs the opened race on this machine and compares both when it is over.
pub fn run_on_mine(store: Store) {
    let Some(opened) = store.shared_runs().opened.get_untracked() else { return };
    if store.phase.get_untracked() != Phase::Idle {
        return;
    }
    store.choose(&opened.config);
    store.shared_runs().against.set_value(Some(opened));
    store.start();
}

/// Handles the end of a race: stores it, and compares it with the report that it was run against.
pub fn race_ended(store: Store, report: &Arc<Report>) {
    if !measured(report) {
        return;
    }
    let same = |other: Option<Arc<Report>>| other.is_some_and(|other| Arc::ptr_eq(&other, report));
    let against = store.shared_runs().against.get_value();
    store.shared_runs().against.set_value(None);
    if same(store.shared_runs().opened.get_untracked()) || same(store.shared_runs().kept.get_value()) {
        // The race never began, and the earlier report is shown again.
        return;
    }
    store.shared_runs().kept.set_value(Some(Arc::clone(report)));
    super::history::keep(store, report);
    if let Some(against) = against {
        let there = store
            .shared_runs()
            .compared
            .with_untracked(|all| all.iter().any(|entry| *entry.report == *against));
        if !there {
            store.shared_runs().push(name_of(store, &against), against);
        }
        add_shown(store);
        go_to("compare");
    }
}

/// Scrolls a part of the page into view once it exists.
fn go_to(id: &'static str) {
    hooks::after(50, move || {
        if let Some(element) = hooks::element(id) {
            element.scroll_into_view();
        }
    });
}
