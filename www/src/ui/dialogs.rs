//! Explanations: the systems, each with a page of its own, and how the race measures.

use leptos::prelude::*;
use report::SystemEntry;

use crate::draft;
use crate::lanes::{OneWay, slot_of};

use super::config::grouped;
use super::lanes::Marker;
use super::live::part;
use super::store::Store;

/// All systems by family.
#[component]
pub fn SystemsList(store: Store) -> impl IntoView {
    let text = store.text();
    view! {
        <section class="systems" id="systems" aria-labelledby="systems-title">
            <h2 id="systems-title">{text.systems_title}</h2>
            <p class="muted">{text.systems_intro}</p>
            <div class="families">
                {part(move || {
                    store
                        .systems
                        .with(|systems| grouped(systems, "", |family| text.family(family)))
                        .into_iter()
                        .map(|(family, members)| {
                            view! {
                                <div class="family">
                                    <h3>{family}</h3>
                                    <ul>
                                        {members.into_iter().map(|entry| view! { <SystemCard store entry/> }).collect_view()}
                                    </ul>
                                </div>
                            }
                        })
                        .collect_view()
                })}
            </div>
        </section>
    }
}

#[component]
fn SystemCard(store: Store, entry: SystemEntry) -> impl IntoView {
    let text = store.text();
    let id = entry.id.clone();
    view! {
        <li>
            <button type="button" class="system-card" data-testid=format!("system-{id}") on:click=move |_| store.system.set(Some(id.clone()))>
                <span class="system-name"><Marker shape=slot_of(&entry.id) filled=true/>{entry.title.clone()}<small>{entry.year}</small></span>
                <span class="system-summary">{entry.summary.clone()}</span>
                <span class="system-meta">
                    <span class="mono">{entry.complexity.clone()}</span>
                    {OneWay::of(&entry.causality).map(|one_way| view! { <span class="tag">{one_way.label(text)}</span> })}
                </span>
            </button>
        </li>
    }
}

/// One system in full.
#[component]
pub fn SystemDialog(store: Store) -> impl IntoView {
    let text = store.text();
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    Effect::new(move |_| {
        let open = store.system.with(Option::is_some);
        let Some(dialog) = dialog.get() else { return };
        if open && !dialog.open() {
            let _ = dialog.show_modal();
        } else if !open && dialog.open() {
            dialog.close();
        }
    });
    let entry = move || {
        let id = store.system.get()?;
        store.systems.with(|systems| systems.iter().find(|entry| entry.id == id).cloned())
    };
    view! {
        <dialog
            node_ref=dialog
            class="system"
            aria-labelledby="system-title"
            data-testid="system-dialog"
            on:close=move |_| store.system.set(None)
            on:click=move |event| {
                // A click on the backdrop is a click on the dialog itself.
                let on_backdrop = dialog.get_untracked().is_some_and(|dialog| {
                    event.target().is_some_and(|target| &target == AsRef::<web_sys::EventTarget>::as_ref(&*dialog))
                });
                if on_backdrop { store.system.set(None); }
            }
        >
            <div class="dialog-body">
                <header>
                    <h2 id="system-title">{part(move || entry().map(|entry| view! { <Marker shape=slot_of(&entry.id) filled=true/> {entry.title} }))}</h2>
                    <button type="button" class="quiet icon" aria-label=text.close on:click=move |_| store.system.set(None)>
                        <svg viewBox="0 0 12 12" width="14" height="14" aria-hidden="true"><path d="M2 2l8 8M10 2l-8 8"/></svg>
                    </button>
                </header>
                {part(move || entry().map(|entry| view! { <SystemFacts store entry/> }))}
            </div>
        </dialog>
    }
}

#[component]
fn SystemFacts(store: Store, entry: SystemEntry) -> impl IntoView {
    let text = store.text();
    let forms = OneWay::of(&entry.causality).map_or(text.forms_both, |one_way| one_way.label(text));
    let arxiv: String = entry.arxiv.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    view! {
        <p class="lead">{entry.summary}</p>
        <dl>
            <div><dt>{text.system_complexity}</dt><dd class="mono">{entry.complexity}</dd></div>
            <div><dt>{text.system_forms}</dt><dd>{forms}</dd></div>
            <div>
                <dt>{text.system_paper}</dt>
                <dd>
                    {entry.paper}", "{entry.year}
                    {(!arxiv.is_empty()).then(|| view! {
                        " · "
                        <a href=format!("https://arxiv.org/abs/{arxiv}") target="_blank" rel="noopener">{(text.system_arxiv)(&arxiv)}</a>
                    })}
                </dd>
            </div>
            <div><dt>{text.system_reference}</dt><dd>{entry.reference}</dd></div>
        </dl>
        {(!entry.params.is_empty()).then(|| view! {
            <h3>{text.system_params}</h3>
            <dl class="param-list">
                {entry.params.iter().map(|param| view! {
                    <div>
                        <dt><code>{param.name.clone()}</code></dt>
                        <dd>{param.help.clone()}<small>{(text.system_default)(&draft::default_text(param))}</small></dd>
                    </div>
                }).collect_view()}
            </dl>
        })}
    }
}

/// How it measures.
#[component]
pub fn About(store: Store) -> impl IntoView {
    let text = store.text();
    view! {
        <section class="about" id="about" aria-labelledby="about-title">
            <h2 id="about-title">{text.about_title}</h2>
            <div class="about-grid">
                {text.about.iter().map(|(title, body)| view! { <article><h3>{*title}</h3><p>{*body}</p></article> }).collect_view()}
            </div>
            <p class="muted">{text.hidden_note}</p>
        </section>
    }
}
