//! Code in the lazily loaded second module: the chart, everything below the race, all dialogs, links, files, past runs,
//! the engine's messages, and the frame of other pages. The build moves all code that is reachable only from [`PARTS`]
//! into this module, which is loaded once the page is shown. A call from elsewhere would move its target back into the
//! first module.

use std::sync::Arc;

use leptos::prelude::*;
use protocol::Event;
use report::{Report, SystemEntry};
use wasm_split_helpers::SplitLoaderError;
#[cfg(not(no_split))]
use wasm_split_helpers::wasm_split;

use chart::Words;
use chart::headline::{self, Headline};
use chart::lanes::Look;

use super::Start;
use super::chart::Chart;
use super::store::Store;
use super::{client, embed, history, link, share, shared_runs};

/// Functions of the second module.
pub struct Parts {
    /// Reads the page's address and keeps it up to date, accepts files, lists past runs.
    pub begin: fn(Store),
    /// Parses an event of the engine.
    pub event: fn(&str) -> Event,
    /// Parses the catalogue of systems.
    pub catalogue: fn(&str) -> Option<Vec<SystemEntry>>,
    /// The chart.
    pub chart: fn(Store) -> AnyView,
    /// The sections below the race.
    pub sections: fn(Store) -> AnyView,
    /// Dialogs, overlays and the footer.
    pub dialogs: fn(Store) -> AnyView,
    /// The headline for a reader on the machine that raced, or elsewhere.
    pub headline: fn(&Report, &[Look], bool, &Words) -> Option<Headline>,
    /// Stores the report of a finished race.
    pub race_ended: fn(Store, &Arc<Report>),
    /// A report as decoded from its link.
    pub as_linked: fn(&Report) -> Option<Report>,
    /// Adds the shown report to the comparison.
    pub compare_shown: fn(Store),
    /// The frame of another page.
    pub embedded: fn(Start) -> AnyView,
}

/// The only value of this type. Only code of the second module may name it.
pub static PARTS: Parts = Parts {
    begin,
    event: client::event,
    catalogue: |json| serde_json::from_str(json).ok(),
    chart: |store| view! { <Chart store/> }.into_any(),
    sections: super::app::sections,
    dialogs: super::app::dialogs,
    headline: |report, looks, here, words| {
        let told = if here { headline::headline } else { headline::headline_elsewhere };
        told(report, looks, words)
    },
    race_ended: shared_runs::race_ended,
    as_linked: |report| report::as_linked(report).ok().map(|linked| linked.with_reasons_of(report)),
    compare_shown: shared_runs::compare_shown,
    embedded: |start| view! { <embed::Embedded start/> }.into_any(),
};

/// Loading state of the second module.
#[derive(Clone, Copy)]
pub enum SecondModule {
    /// Loading.
    Waiting,
    /// Loading failed.
    Failed,
    /// Loaded.
    Here(&'static Parts),
}

/// Loads the second module once. After a failure the next call tries again.
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
