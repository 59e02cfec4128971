//! Past runs: stored in this browser, listed, renamed, deleted, opened, compared. Where the browser refuses storage,
//! the page says so, and all other functions work.

use std::sync::Arc;

use leptos::prelude::*;
use report::Report;
use wasm_bindgen::prelude::*;

use crate::history::{self, Run};
use crate::shared_runs::{run_name, shown_name};
use crate::state::Phase;
use crate::text::Told;
use chart::machine;

use super::hooks;
use super::live::{live, part};
use super::parts;
use super::share;
use super::shared_runs;
use super::store::Store;

/// Reads the list at the start and whenever another tab changes it.
pub fn open(store: Store) {
    wasm_bindgen_futures::spawn_local(async move {
        refresh(store).await;
        if let Ok(history) = parts::history().await {
            let listener = Closure::<dyn FnMut()>::new(move || {
                wasm_bindgen_futures::spawn_local(refresh(store));
            });
            history.watch_history(&listener.into_js_value());
        }
    });
}

async fn refresh(store: Store) {
    let listed = async { parts::history().await?.list().await }.await;
    match listed {
        Ok(json) => store.shared_runs().runs.set(history::runs(&json.as_string().unwrap_or_default())),
        Err(error) => failed(store, &error),
    }
}

/// Shows the error of the storage.
fn failed(store: Store, error: &JsValue) {
    let travel = store.text().travel;
    let words = match parts::error_name(error).as_str() {
        "QuotaExceededError" => travel.history_full.to_owned(),
        parts::MISSING => travel.part_missing.to_owned(),
        "VersionError" => travel.history_newer.to_owned(),
        // Browsers report these errors where storage is disabled, for all sites or for this frame.
        "SecurityError" | "InvalidStateError" | "TypeError" | "NotAllowedError" => {
            travel.history_denied.to_owned()
        }
        name => (travel.history_failed)(if name.is_empty() { "?" } else { name }),
    };
    store.shared_runs().history_problem.set(Some(words));
}

/// Changes the stored runs and refreshes the list.
fn change(store: Store, work: impl Future<Output = Result<JsValue, JsValue>> + 'static) {
    wasm_bindgen_futures::spawn_local(async move {
        match work.await {
            Ok(_) => store.shared_runs().history_problem.set(None),
            Err(error) => failed(store, &error),
        }
        if let Ok(json) = async { parts::history().await?.list().await }.await {
            store.shared_runs().runs.set(history::runs(&json.as_string().unwrap_or_default()));
        }
    });
}

/// Stores a report that was measured just now.
pub fn keep(store: Store, report: &Report) {
    let Ok(json) = report.to_json() else { return };
    let name = run_name(report);
    let summary = format!("{} {}", share::title(store, report), machine::summary(report, store.text().words));
    let now = js_sys::Date::now();
    change(store, async move { parts::history().await?.add(&name, now, &summary, &json).await });
}

/// Loads a stored report and passes it to `then`.
fn load(store: Store, run: &Run, then: impl FnOnce(Report) + 'static) {
    let (id, name) = (run.id, run.name.clone());
    wasm_bindgen_futures::spawn_local(async move {
        let text = store.text();
        let read = async { parts::history().await?.report(id).await }.await;
        let reason = match read {
            Err(error) => {
                failed(store, &error);
                return;
            }
            Ok(value) if value.is_undefined() => text.travel.history_gone.to_owned(),
            Ok(value) => match Report::from_json(&value.as_string().unwrap_or_default()) {
                Ok(report) => {
                    then(report);
                    return;
                }
                Err(error) => text.told(&Told::of(&error)),
            },
        };
        store.shared_runs().history_problem.set(Some((text.travel.not_added)(&name, &reason)));
    });
}

/// The section.
#[component]
pub fn History(store: Store) -> impl IntoView {
    let text = store.text();
    let travel = text.travel;
    let shared_runs = store.shared_runs();
    let none = move || shared_runs.runs.with(Vec::is_empty);
    view! {
        <section class="card results history" id="history" tabindex="-1" aria-labelledby="history-title" data-testid="history">
            <h2 id="history-title">{travel.history_title}</h2>
            <p class="muted">{part(move || if none() { travel.history_empty } else { travel.history_intro })}</p>
            <div role="alert">
                {part(move || shared_runs.history_problem.get().map(|problem| view! {
                    <div class="notice warn" data-testid="history-problem">
                        <p>{problem}</p>
                        <button type="button" class="quiet" on:click=move |_| shared_runs.history_problem.set(None)>{text.dismiss}</button>
                    </div>
                }))}
            </div>
            <ul class="runs">
                {part(move || shared_runs.runs.get().into_iter().map(|run| view! { <KeptRun store run/> }).collect_view())}
            </ul>
            <Show when=move || !none()>
                <p>
                    <button
                        type="button"
                        class="quiet framed"
                        data-testid="history-clear"
                        on:click=move |_| {
                            change(store, async { parts::history().await?.clear().await });
                            hooks::focus_soon("history");
                        }
                    >{travel.history_delete_all}</button>
                </p>
            </Show>
        </section>
    }
}

#[component]
fn KeptRun(store: Store, run: Run) -> impl IntoView {
    let travel = store.text().travel;
    let id = run.id;
    let name = if run.name.is_empty() { travel.history_damaged.to_owned() } else { run.name.clone() };
    let date = run.saved_at_ms.map(|at| {
        let date = js_sys::Date::new(&at.into());
        let options = js_sys::Object::new();
        for key in ["dateStyle", "timeStyle"] {
            let _ = js_sys::Reflect::set(&options, &key.into(), &"short".into());
        }
        String::from(date.to_locale_string(store.text().words.lang, &options))
    });
    let (to_open, to_compare) = (run.clone(), run.clone());
    let label = name.clone();
    let busy = move || store.phase.get() != Phase::Idle;
    view! {
        <li data-testid="run">
            <div class="run-words">
                <input
                    type="text"
                    class="run-name"
                    maxlength="60"
                    aria-label=(travel.history_name)(&name)
                    data-testid="run-name"
                    prop:value=name.clone()
                    on:change=move |event| {
                        let name = shown_name(&event_target_value(&event));
                        change(store, async move { parts::history().await?.rename(id, &name).await });
                    }
                />
                <small>{date}" "{run.damaged.then(|| view! { <span class="tag warn-tag">{travel.history_damaged}</span> })}</small>
                <p class="muted small">{run.summary}</p>
            </div>
            <div class="run-actions">
                <button
                    type="button"
                    class="quiet framed"
                    data-testid="run-open"
                    aria-label=(travel.open_of)(&label)
                    disabled=live(busy)
                    on:click=move |_| load(store, &to_open, move |report| store.show(report))
                >{travel.open}</button>
                <button
                    type="button"
                    class="quiet framed"
                    data-testid="run-compare"
                    aria-label=(travel.history_compare)(&label)
                    on:click={
                        let label = label.clone();
                        move |_| {
                            let label = label.clone();
                            load(store, &to_compare, move |report| shared_runs::compare(store, &label, Arc::new(report)));
                        }
                    }
                >{travel.compare}</button>
                <button
                    type="button"
                    class="quiet icon"
                    data-testid="run-delete"
                    aria-label=(travel.history_delete)(&label)
                    on:click=move |_| {
                        change(store, async move { parts::history().await?.remove(id).await });
                        hooks::focus_soon("history");
                    }
                >
                    <svg viewBox="0 0 12 12" width="14" height="14" aria-hidden="true"><path d="M2 2l8 8M10 2l-8 8"/></svg>
                </button>
            </div>
        </li>
    }
}
