//! Sharing: the link of the shown content as text, as a QR code and through the operating system; the page's title.

use std::sync::Arc;

use js_sys::Reflect;
use leptos::prelude::*;
use report::Report;
use wasm_bindgen::prelude::*;

use crate::shared_runs::measured;
use chart::machine;

use crate::qr;
use chart::headline::headline_elsewhere;

use super::hooks;
use super::live::{live, part};
use super::shared_runs;
use super::store::Store;

/// Actions on the result: share, export, compare, and the page's own buttons. Below, the origin of a result from
/// elsewhere.
#[component]
pub fn Toolbar(store: Store, children: Children) -> impl IntoView {
    let text = store.text();
    let travel = text.travel;
    let there = Memo::new(move |_| store.report.with(|report| report.as_deref().is_some_and(measured)));
    let idle = move || store.phase.get() == crate::state::Phase::Idle;
    view! {
        <div class="toolbar" role="group" aria-label=travel.share_title>
            <button type="button" class="quiet framed" data-testid="share" on:click=move |_| store.shared_runs().sharing.set(true)>{travel.share}"…"</button>
            <button
                type="button"
                class="quiet framed"
                data-testid="export"
                disabled=live(move || !there.get())
                on:click=move |_| store.shared_runs().exporting.set(true)
            >{travel.export}"…"</button>
            <button
                type="button"
                class="quiet framed"
                data-testid="compare-this"
                disabled=live(move || !there.get() || !idle())
                on:click=move |_| store.with_rest(move |rest| (rest.compare_shown)(store))
            >{travel.compare}"…"</button>
            {children()}
            <Show when=move || there.get() && shared_runs::is_opened(store)>
                <p class="opened" data-testid="opened">
                    <span>{part(move || store.report.get().map(|report| (travel.shared_by)(&whose(store, &report))))}</span>
                    <button
                        type="button"
                        class="quiet framed strong"
                        data-testid="run-on-mine"
                        disabled=live(move || !idle())
                        on:click=move |_| shared_runs::run_on_mine(store)
                    >{travel.run_on_mine}</button>
                </p>
            </Show>
        </div>
    }
}

fn whose(store: Store, report: &Report) -> String {
    let mut parts = vec![machine::summary(report, store.text().words)];
    parts.extend(report.day());
    parts.join(" · ")
}

/// The full link of the shown content, and whether it holds a result.
fn link(store: Store) -> Option<(String, bool)> {
    let address = hooks::window()?.location().href().ok()?;
    let base = address.split('#').next().unwrap_or_default().to_owned();
    let report = store.report.get().filter(|report| measured(report));
    let fragment = match report {
        Some(report) => (report::encode_link(&report).ok()?, true),
        None => (report::encode_config_link(&store.checked.get().ok()?).ok()?, false),
    };
    Some((base + &fragment.0, fragment.1))
}

/// The sharing dialog.
#[component]
pub fn ShareDialog(store: Store) -> impl IntoView {
    let travel = store.text().travel;
    let open = store.shared_runs().sharing;
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    hooks::modal(dialog, open);
    let shared = Memo::new(move |_| if open.get() { link(store) } else { None });
    let of_result = move || shared.with(|shared| shared.as_ref().is_some_and(|(_, result)| *result));
    view! {
        <dialog node_ref=dialog class="system" aria-labelledby="share-title" data-testid="share-dialog" on:close=move |_| open.set(false)>
            <div class="dialog-body">
                <header role="none">
                    <h2 id="share-title">{part(move || if of_result() { travel.share_title } else { travel.share_setup_title })}</h2>
                    <Close open label=store.text().close/>
                </header>
                <p class="muted">{part(move || if of_result() { travel.share_intro } else { travel.share_setup_intro })}</p>
                {part(move || shared.get().map_or_else(
                    || {
                        let unfit = store.report.with(Option::is_none) && store.checked.with(Result::is_err);
                        let words = if unfit { store.text().fix_first } else { travel.share_too_long };
                        open.get().then(|| view! { <p class="error" role="alert">{words}</p> }.into_any())
                    },
                    |(link, _)| Some(view! { <LinkOut store link/> }.into_any()),
                ))}
            </div>
        </dialog>
    }
}

/// The close button in a dialog's corner.
#[component]
pub fn Close(open: RwSignal<bool>, label: &'static str) -> impl IntoView {
    view! {
        <button type="button" class="quiet icon" aria-label=label on:click=move |_| open.set(false)>
            <svg viewBox="0 0 12 12" width="14" height="14" aria-hidden="true"><path d="M2 2l8 8M10 2l-8 8"/></svg>
        </button>
    }
}

#[component]
fn LinkOut(store: Store, link: String) -> impl IntoView {
    let travel = store.text().travel;
    let field = NodeRef::<leptos::html::Input>::new();
    let message = RwSignal::new(String::new());
    let length = link.len();
    let code = qr::svg(&link, travel.qr_label);
    let (to_copy, to_share) = (link.clone(), link.clone());
    let copy = move |_| {
        let link = to_copy.clone();
        wasm_bindgen_futures::spawn_local(async move {
            if hooks::copy(link).await {
                message.set(travel.copied.to_owned());
            } else {
                // As a fallback, the text is selected for the reader to copy.
                if let Some(field) = field.get_untracked() {
                    let _ = field.focus();
                    field.select();
                }
                message.set(travel.copy_denied.to_owned());
            }
        });
    };
    view! {
        <label class="field wide" for="share-link">{travel.share_link}</label>
        <div class="link-row">
            <input
                id="share-link"
                type="text"
                readonly
                data-testid="share-link"
                node_ref=field
                prop:value=link
                on:focus=move |_| if let Some(field) = field.get_untracked() { field.select(); }
            />
            <button type="button" class="quiet framed strong" data-testid="copy-link" on:click=copy>{travel.copy}</button>
            {can_share().then(|| view! {
                <button type="button" class="quiet framed" data-testid="system-share" on:click=move |_| system_share(store, &to_share)>{travel.system_share}</button>
            })}
        </div>
        <p class="muted small">{(travel.share_length)(length)}</p>
        <p class="small" role="status" data-testid="share-status">{part(move || message.get())}</p>
        <details class="qr-box">
            <summary data-testid="qr">{travel.qr}</summary>
            {match code {
                Some(svg) => view! { <div inner_html=svg></div> }.into_any(),
                None => view! { <p class="muted">{travel.qr_too_long}</p> }.into_any(),
            }}
        </details>
    }
}

fn can_share() -> bool {
    hooks::window()
        .and_then(|window| Reflect::get(&window.navigator(), &"share".into()).ok())
        .is_some_and(|share| share.is_function())
}

/// Opens the operating system's share sheet. Closing it without sharing is not an error.
fn system_share(store: Store, link: &str) {
    let Some(window) = hooks::window() else { return };
    let data = js_sys::Object::new();
    let shown = store.shown.get_untracked();
    let title = if measured(&shown) { title(store, &shown) } else { String::new() };
    for (key, value) in [("title", title.as_str()), ("url", link)] {
        let _ = Reflect::set(&data, &key.into(), &value.into());
    }
    if let Some(promise) = hooks::call(&window.navigator(), "share", Some(&data)) {
        wasm_bindgen_futures::spawn_local(async move {
            if let Ok(promise) = promise.dyn_into::<js_sys::Promise>() {
                let _ = wasm_bindgen_futures::JsFuture::from(promise).await;
            }
        });
    }
}

/// The headline, or the lanes.
pub fn title(store: Store, report: &Report) -> String {
    let text = store.text();
    store
        .looks
        .with_untracked(|looks| headline_elsewhere(report, looks, text.words))
        .map_or_else(|| crate::shared_runs::run_name(report), |headline| headline.text)
}

/// Keeps the document's title and description up to date with the shown result, for previews, bookmarks and tabs.
pub fn describe(store: Store) {
    let before = StoredValue::new(None::<Arc<Report>>);
    Effect::new(move |_| {
        let text = store.language.get();
        let report = store.report.get().filter(|report| report.status.is_final() && measured(report));
        // A running race does not change the title.
        if report.is_none() && before.with_value(Option::is_none) {
            return;
        }
        let report = report.map(|_| store.shown.get());
        before.set_value(report.clone());
        let Some(document) = hooks::window().and_then(|window| window.document()) else { return };
        let (title, description) = match report {
            Some(report) => {
                let title = title(store, &report);
                let description = (text.travel.description)(&title, &machine::summary(&report, text.words));
                (format!("{title} · {}", text.words.name), description)
            }
            None => (format!("{}: {}", text.words.name, text.tagline), text.intro.to_owned()),
        };
        document.set_title(&title);
        for (selector, content) in [
            ("meta[name=description]", &description),
            ("meta[property='og:description']", &description),
            ("meta[property='og:title']", &title),
        ] {
            if let Ok(Some(element)) = document.query_selector(selector) {
                let _ = element.set_attribute("content", content);
            }
        }
    });
}
