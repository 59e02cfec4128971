//! What the page can do without at first: the chart, everything below the race and every dialog, links, files, past runs,
//! what the engine says, the frame of other pages. The build puts all that only [`PARTS`] leads to into a second module,
//! which is loaded once the page is up. Nothing outside may call it in any other way, or it moves back into the first.

use std::sync::Arc;

use leptos::prelude::*;
use protocol::Event;
use report::{Report, SystemEntry};
use wasm_split_helpers::SplitLoaderError;
#[cfg(not(no_split))]
use wasm_split_helpers::wasm_split;

use super::Start;
use super::chart::Chart;
use super::store::Store;
use super::{client, embed, history, link, share, shared_runs};

/// What the second module does.
pub struct Parts {
    /// Reads the page's address and keeps it in step, takes files, lists past runs.
    pub begin: fn(Store),
    /// Reads an event of the engine.
    pub event: fn(&str) -> Event,
    /// Reads the catalogue of systems.
    pub catalogue: fn(&str) -> Option<Vec<SystemEntry>>,
    /// The chart.
    pub chart: fn(Store) -> AnyView,
    /// What follows the race.
    pub sections: fn(Store) -> AnyView,
    /// What opens over the page, and its last line.
    pub dialogs: fn(Store) -> AnyView,
    /// Keeps the report of a race that came to its end.
    pub race_ended: fn(Store, &Arc<Report>),
    /// A report as its link holds it.
    pub as_linked: fn(&Report) -> Option<Report>,
    /// Compares what is shown.
    pub compare_shown: fn(Store),
    /// The frame of another page.
    pub embedded: fn(Start) -> AnyView,
}

/// All of it. Only what is part of it may name it.
pub static PARTS: Parts = Parts {
    begin,
    event: client::event,
    catalogue: |json| serde_json::from_str(json).ok(),
    chart: |store| view! { <Chart store/> }.into_any(),
    sections: super::app::sections,
    dialogs: super::app::dialogs,
    race_ended: shared_runs::race_ended,
    as_linked: |report| report::as_linked(report).ok().map(|linked| linked.with_reasons_of(report)),
    compare_shown: shared_runs::compare_shown,
    embedded: |start| view! { <embed::Embedded start/> }.into_any(),
};

/// How far the second module is.
#[derive(Clone, Copy)]
pub enum SecondModule {
    /// On its way.
    Waiting,
    /// It could not be loaded.
    Failed,
    /// Here.
    Here(&'static Parts),
}

/// Loads the second module, once; after a failure, anew.
///
/// # Errors
/// Where it could not be loaded.
#[cfg(not(no_split))]
#[allow(clippy::unnecessary_wraps, reason = "the loader fails in the caller's module")]
#[wasm_split(rest, fallible)]
pub fn load() -> Result<&'static Parts, SplitLoaderError> {
    Ok(&PARTS)
}

/// In a module that was not split nothing has to be loaded.
///
/// # Errors
/// Never.
#[cfg(no_split)]
pub async fn load() -> Result<&'static Parts, SplitLoaderError> {
    Ok(&PARTS)
}

fn begin(store: Store) {
    link::open(store);
    shared_runs::watch(store);
    history::open(store);
    share::describe(store);
}
