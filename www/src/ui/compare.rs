//! Compares results: lines in one chart, times with their ratios, the first crossover, the differences.

use std::mem::discriminant;
use std::sync::Arc;

use leptos::prelude::*;
use mixer::Task;
use report::Report;
use report::compare::Comparison;
use wasm_bindgen::{JsCast, JsValue};

use crate::overlay;
use crate::side_by_side::{self, Named};
use crate::state::Phase;
use chart::{Metric, Options, scene, svg};

use super::chart::Views;
use super::hooks;
use super::live::{live, part};
use super::shared_runs::{self, Entry};
use super::store::Store;

/// The reports and their comparison.
#[derive(Clone)]
struct Compared {
    entries: Arc<Vec<Entry>>,
    comparison: Arc<Comparison>,
}

impl Compared {
    fn reports(&self) -> Vec<&Report> {
        self.entries.iter().map(|entry| &*entry.report).collect()
    }

    /// What all results time; `None` where they differ, so that no chart can hold them.
    fn mode(&self) -> Option<Task> {
        let mut modes = self.entries.iter().map(|entry| entry.report.config.mode);
        let first = modes.next()?;
        modes.all(|mode| discriminant(&mode) == discriminant(&first)).then_some(first)
    }

    /// The views that apply to all results. Tokens per second depend on the batch, so all reports must have the same
    /// one.
    fn views(&self) -> Vec<Metric> {
        let mut batches = self.entries.iter().map(|entry| entry.report.config.batch);
        let first = batches.next();
        let alike = batches.all(|batch| Some(batch) == first);
        let views = self.mode().map(Metric::views).unwrap_or_default();
        views.iter().copied().filter(|view| alike || *view != Metric::Throughput).collect()
    }

    fn named(&self) -> Vec<Named<'_>> {
        self.entries
            .iter()
            .map(|entry| Named { key: entry.key, name: &entry.name, report: &entry.report })
            .collect()
    }
}

/// The section: inputs for results, and the comparison once there are two.
#[component]
pub fn Compare(store: Store) -> impl IntoView {
    let text = store.text();
    let compared = Memo::new_with_compare(
        move |_| {
            let entries = store.shared_runs().compared.get();
            let reports: Vec<&Report> = entries.iter().map(|entry| &*entry.report).collect();
            let comparison = Arc::new(Comparison::new(&reports));
            Compared { comparison, entries: Arc::new(entries) }
        },
        |_, _| true,
    );
    let metric = RwSignal::new(Metric::Time);
    // A view that no longer applies to all results is replaced by the default one, which always applies.
    Effect::new(move |_| {
        if metric.get() != Metric::Time && compared.with(|compared| !compared.views().contains(&metric.get()))
        {
            metric.set(Metric::Time);
        }
    });
    let above = move || {
        compared.with(|compared| match compared.entries.len() {
            0 => String::new(),
            1 => side_by_side::entries(&compared.named(), text),
            _ => {
                side_by_side::entries(&compared.named(), text)
                    + &side_by_side::differences(&compared.comparison, text)
            }
        })
    };
    let below = move || {
        compared.with(|compared| {
            if compared.entries.len() < 2 {
                return String::new();
            }
            side_by_side::crossings(&compared.comparison, text)
                + &side_by_side::ratios(&compared.named(), &compared.comparison, metric.get(), text)
        })
    };
    view! {
        <section
            class="card results compare"
            id="compare"
            tabindex="-1"
            aria-labelledby="compare-title"
            data-testid="compare"
            on:click=move |event| act(store, &event)
        >
            <h2 id="compare-title">{text.travel.compare_title}</h2>
            <p class="muted">{text.travel.compare_intro}</p>
            <Intake store/>
            <Refused store/>
            <div inner_html=live(above)></div>
            {part(move || {
                let (mode, views) =
                    compared.with(|compared| (compared.mode().filter(|_| compared.entries.len() > 1), compared.views()));
                mode.map(|mode| view! {
                    <div class="chart-head">
                        <Views text metric name="compare-view" mode views/>
                    </div>
                    <Overlay store compared metric/>
                })
            })}
            <div inner_html=live(below)></div>
        </section>
    }
}

/// Handles a click on a button of the comparison.
fn act(store: Store, event: &web_sys::MouseEvent) {
    let target = event.target().and_then(|target| target.dyn_into::<web_sys::Element>().ok());
    let Some(button) = target.and_then(|target| target.closest("[data-act]").ok().flatten()) else { return };
    let key = button.get_attribute("data-key").and_then(|key| key.parse::<u32>().ok());
    let compared = store.shared_runs().compared;
    match button.get_attribute("data-act").as_deref() {
        Some("open") if store.phase.get_untracked() == Phase::Idle => {
            let entry =
                compared.with_untracked(|all| all.iter().find(|entry| Some(entry.key) == key).cloned());
            if let Some(entry) = entry {
                store.show((*entry.report).clone());
            }
        }
        Some("open") => store.said.set(store.text().travel.racing_now.to_owned()),
        Some("remove") => {
            compared.update(|all| all.retain(|entry| Some(entry.key) != key));
            hooks::focus_soon("compare");
        }
        Some("clear") => {
            compared.set(Vec::new());
            hooks::focus_soon("compare");
        }
        _ => {}
    }
}

/// Inputs: files, a paste, the result above.
#[component]
fn Intake(store: Store) -> impl IntoView {
    let travel = store.text().travel;
    let field = NodeRef::<leptos::html::Input>::new();
    let add = move || {
        let Some(field) = field.get_untracked() else { return };
        if shared_runs::paste(store, &field.value()) {
            field.set_value("");
        }
    };
    let addable = move || {
        store.report.with(|report| report.as_deref().is_some_and(crate::shared_runs::measured))
            && store.phase.get() == Phase::Idle
    };
    view! {
        <div class="intake">
            <label class="quiet framed file">
                <input
                    type="file"
                    accept=".json,application/json,text/plain"
                    multiple
                    class="sr-only"
                    data-testid="compare-files"
                    on:change=move |event| {
                        let input: web_sys::HtmlInputElement = event_target(&event);
                        let files: JsValue = js_sys::Reflect::get(&input, &"files".into()).unwrap_or(JsValue::NULL);
                        // A copy, because clearing the field (so that the same file can be chosen again) also clears
                        // the list.
                        shared_runs::read_files(store, js_sys::Array::from(&files).into());
                        input.set_value("");
                    }
                />
                <span>{travel.compare_open}</span>
            </label>
            <input
                type="text"
                class="paste"
                autocomplete="off"
                spellcheck="false"
                placeholder=travel.compare_paste
                aria-label=travel.compare_paste
                data-testid="compare-paste"
                node_ref=field
                on:keydown=move |event| if event.key() == "Enter" { event.prevent_default(); add(); }
            />
            <button type="button" class="quiet framed" data-testid="compare-add" on:click=move |_| add()>{travel.compare_add}</button>
            <button
                type="button"
                class="quiet framed"
                data-testid="compare-shown"
                disabled=live(move || !addable())
                on:click=move |_| shared_runs::add_shown(store)
            >{travel.compare_this}</button>
        </div>
    }
}

/// Inputs that could not be opened.
#[component]
fn Refused(store: Store) -> impl IntoView {
    let text = store.text();
    let refused = store.shared_runs().refused;
    view! {
        <div role="alert">
            {part(move || {
                let reasons = refused.get();
                (!reasons.is_empty()).then(|| view! {
                    <div class="notice warn" data-testid="refused">
                        <div>
                            <strong>{text.travel.not_opened_title}</strong>
                            <ul>{reasons.into_iter().map(|reason| view! { <li>{reason}</li> }).collect_view()}</ul>
                        </div>
                        <button type="button" class="quiet" on:click=move |_| refused.set(Vec::new())>{text.dismiss}</button>
                    </div>
                })
            })}
        </div>
    }
}

/// The lines of all reports in one chart.
#[component]
fn Overlay(store: Store, compared: Memo<Compared>, metric: RwSignal<Metric>) -> impl IntoView {
    let text = store.text();
    let holder = NodeRef::<leptos::html::Div>::new();
    let size = RwSignal::new((800.0, 420.0));
    super::chart::watch_size(holder, size);
    let marks = Memo::new(move |_| {
        compared
            .with(|compared| {
                let reports = compared.reports();
                store.systems.with(|systems| {
                    let (all, looks) = overlay::merged(&reports, &compared.comparison, systems, text)?;
                    let (width, height) = size.get();
                    let options =
                        Options { width, height, metric: metric.get(), hidden: Vec::new(), emphasis: None };
                    Some(svg::marks(&scene(&all, &looks, &options, text.words)))
                })
            })
            .unwrap_or_default()
    });
    let label = move || {
        compared.with(|compared| {
            (text.travel.compare_chart)(compared.comparison.lanes.len(), compared.entries.len())
        })
    };
    view! {
        <div class="chart many" node_ref=holder data-testid="compare-chart">
            <svg translate="no" role="img" aria-label=live(label) viewBox=live(move || { let (w, h) = size.get(); format!("0 0 {w:.0} {h:.0}") })>
                <g aria-hidden="true" inner_html=marks></g>
            </svg>
        </div>
    }
}
