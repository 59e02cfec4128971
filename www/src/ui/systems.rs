//! The systems, and a page for each: summary, mixing pattern, formula, cost and source. The catalogue is loaded with
//! the page; a system's texts and pictures are loaded when its page is opened.

use leptos::prelude::*;
use mixer::Task;
use report::{Config, LaneConfig, SystemEntry};
use wasm_bindgen::JsValue;

use crate::draft;
use crate::pattern::{Picture, picture};
use chart::format;
use chart::lanes::{OneWay, slot_of};

use super::config::grouped;
use super::hooks;
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
                <span class="system-name"><Marker shape=slot_of(&entry) filled=true/>{entry.title.clone()}<small>{entry.year}</small></span>
                <span class="system-summary">{entry.summary.clone()}</span>
                <span class="system-meta">
                    <span class="mono">{text.complexity(&entry.complexity)}</span>
                    {OneWay::of(&entry.causality).map(|one_way| view! { <span class="tag">{one_way.label(text.words)}</span> })}
                </span>
            </button>
        </li>
    }
}

/// Texts and pictures of a system, from `systems/ID.LANGUAGE.json`. The site's build generates the HTML.
#[derive(Debug, Clone, PartialEq, Default)]
struct Words {
    idea: String,
    main: String,
    more: String,
    bibtex: String,
    patterns: Vec<Pattern>,
}

#[derive(Debug, Clone, PartialEq)]
struct Pattern {
    length: f64,
    causal: bool,
    held: bool,
    picture: Picture,
}

#[derive(Debug, Clone, PartialEq)]
enum Loaded {
    Waiting,
    Failed,
    Words(Box<Words>),
}

fn get(object: &JsValue, name: &str) -> JsValue {
    js_sys::Reflect::get(object, &name.into()).unwrap_or(JsValue::UNDEFINED)
}

fn text_of(object: &JsValue, name: &str) -> String {
    get(object, name).as_string().unwrap_or_default()
}

/// Hand-written, because a derived JSON deserializer would be larger than the rest of this file.
fn read(json: &str) -> Option<Words> {
    let page = js_sys::JSON::parse(json).ok()?;
    let patterns = js_sys::Array::from(&get(&page, "patterns"))
        .iter()
        .map(|pattern| {
            let rows: Vec<_> = js_sys::Array::from(&get(&pattern, "rows"))
                .iter()
                .filter_map(|row| row.as_string())
                .collect();
            Pattern {
                length: get(&pattern, "length").as_f64().unwrap_or_default(),
                causal: get(&pattern, "causal").is_truthy(),
                held: get(&pattern, "held").is_truthy(),
                picture: picture(rows.iter().map(String::as_str)),
            }
        })
        .collect();
    Some(Words {
        idea: text_of(&page, "idea"),
        main: text_of(&page, "main"),
        more: text_of(&page, "more"),
        bibtex: text_of(&page, "bibtex"),
        patterns,
    })
}

/// Fetches the page of a system, unless another one has been opened meanwhile.
fn load(store: Store, id: String, loaded: RwSignal<Loaded>) {
    loaded.set(Loaded::Waiting);
    let address = format!("systems/{id}.{}.json", store.text().tag());
    wasm_bindgen_futures::spawn_local(async move {
        let words = hooks::fetch_text(&address).await.as_deref().and_then(read);
        if store.system.try_get_untracked().flatten().as_deref() == Some(id.as_str()) {
            let _ = loaded.try_set(words.map_or(Loaded::Failed, |words| Loaded::Words(Box::new(words))));
        }
    });
}

/// The page of one system.
#[component]
pub fn SystemDialog(store: Store) -> impl IntoView {
    let text = store.text();
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    let loaded = RwSignal::new(Loaded::Waiting);
    // A link may name a system before the catalogue is loaded.
    let entry = Memo::new(move |_| {
        let id = store.system.get()?;
        store.systems.with(|systems| systems.iter().find(|entry| entry.id == id).cloned())
    });
    Effect::new(move |_| {
        let open = entry.get().map(|entry| entry.id);
        let Some(dialog) = dialog.get() else { return };
        match open {
            Some(id) => {
                load(store, id, loaded);
                if !dialog.open() {
                    let _ = dialog.show_modal();
                }
                dialog.set_scroll_top(0);
            }
            None if dialog.open() => dialog.close(),
            None => {}
        }
    });
    view! {
        <dialog
            node_ref=dialog
            class="system"
            aria-labelledby="system-title"
            data-testid="system-dialog"
            on:close=move |_| store.system.set(None)
            on:click=move |event| {
                // A click on the backdrop has the dialog itself as its target.
                let on_backdrop = dialog.get_untracked().is_some_and(|dialog| {
                    event.target().is_some_and(|target| &target == AsRef::<web_sys::EventTarget>::as_ref(&*dialog))
                });
                if on_backdrop { store.system.set(None); }
            }
        >
            <div class="dialog-body">
                <header role="none">
                    <h2 id="system-title">{part(move || entry.get().map(|entry| view! { <Marker shape=slot_of(&entry) filled=true/> {entry.title} }))}</h2>
                    <button type="button" class="quiet icon" aria-label=text.close on:click=move |_| store.system.set(None)>
                        <svg viewBox="0 0 12 12" width="14" height="14" aria-hidden="true"><path d="M2 2l8 8M10 2l-8 8"/></svg>
                    </button>
                </header>
                {part(move || entry.get().map(|entry| view! { <SystemPage store entry loaded/> }))}
            </div>
        </dialog>
    }
}

#[component]
fn SystemPage(store: Store, entry: SystemEntry, loaded: RwSignal<Loaded>) -> impl IntoView {
    let text = store.text();
    let forms = OneWay::of(&entry.causality).map_or(text.forms_both, |one_way| one_way.label(text.words));
    let decodes = entry.no_decode.is_none();
    let no_decode = text.no_decode_of(&entry).unwrap_or_else(|| text.system_decodes.to_owned());
    let slot = slot_of(&entry);
    let again = entry.id.clone();
    let race = {
        let id = entry.id.clone();
        move |_| {
            let names =
                if id == "attention" { vec!["attention", "hyena"] } else { vec!["attention", id.as_str()] };
            let systems = names.into_iter().map(|name| LaneConfig::Name(name.to_owned())).collect();
            let mode = if decodes { store.draft.with_untracked(draft::Draft::mode) } else { Task::Forward };
            store.choose(&Config { systems, mode, ..Config::default() });
            store.system.set(None);
            hooks::focus_soon("race");
        }
    };
    let params = entry.params.clone();
    view! {
        <dl>
            <div><dt>{text.system_complexity}</dt><dd class="mono">{text.complexity(&entry.complexity)}</dd></div>
            <div><dt>{text.system_forms}</dt><dd>{forms}</dd></div>
            <div><dt>{text.decode.name.0}</dt><dd data-testid="system-decode">{no_decode}</dd></div>
        </dl>
        <button type="button" class="quiet outlined" data-testid="system-race" on:click=race>{text.system_race}</button>
        {part(move || match loaded.get() {
            Loaded::Waiting => view! { <p class="muted" role="status">{text.system_loading}</p> }.into_any(),
            Loaded::Failed => {
                let again = again.clone();
                view! {
                    <p role="alert">
                        {text.system_failed}" "
                        <button type="button" class="quiet outlined" on:click=move |_| load(store, again.clone(), loaded)>{text.retry}</button>
                    </p>
                }.into_any()
            }
            Loaded::Words(words) => view! { <SystemWords store words=*words shape=slot/> }.into_any(),
        })}
        {(!params.is_empty()).then(|| view! {
            <h3>{text.system_params}</h3>
            <dl class="param-list">
                {params.iter().map(|param| view! {
                    <div>
                        <dt><code>{param.name.clone()}</code></dt>
                        <dd>{param.help.clone()}<small>{(text.system_default)(&draft::default_text(param))}</small></dd>
                    </div>
                }).collect_view()}
            </dl>
        })}
    }
}

/// The element that holds a system's BibTeX.
const BIBTEX: &str = "system-bibtex";

#[component]
fn SystemWords(store: Store, words: Words, shape: usize) -> impl IntoView {
    let text = store.text();
    let label = RwSignal::new(text.copy);
    let bibtex = words.bibtex.clone();
    let copy = move |_| {
        let bibtex = bibtex.clone();
        wasm_bindgen_futures::spawn_local(async move {
            let copied = hooks::copy_or_select(bibtex, BIBTEX).await;
            let _ = label.try_set(if copied { text.copied } else { text.travel.copy_denied });
        });
    };
    view! {
        <div class="words lead" data-testid="system-idea" inner_html=words.idea></div>
        <h3>{text.pattern_title}</h3>
        <p class="muted">{text.pattern_help}</p>
        <div class=format!("patterns c{shape}") data-testid="system-patterns">
            {words.patterns.into_iter().map(|pattern| view! { <PatternPicture store pattern/> }).collect_view()}
        </div>
        <div class="words" data-testid="system-words" inner_html=words.main></div>
        <div class="bibtex">
            <h3>"BibTeX"</h3>
            <button type="button" class="quiet outlined small" data-testid="system-bibtex-copy" on:click=copy>
                <span aria-live="polite">{part(move || label.get())}</span>
            </button>
            <pre id=BIBTEX tabindex="0" data-testid="system-bibtex">{words.bibtex}</pre>
        </div>
        {(!words.more.is_empty()).then(|| view! {
            <details class="more"><summary>{text.system_more}</summary><div class="words" inner_html=words.more></div></details>
        })}
    }
}

#[component]
fn PatternPicture(store: Store, pattern: Pattern) -> impl IntoView {
    let text = store.text();
    let caption = (text.pattern_caption)(&format::length(pattern.length), pattern.causal, pattern.held);
    let Picture { size, paths, share, later } = pattern.picture;
    let label = (text.pattern_summary)(&caption, share, later);
    view! {
        <figure>
            <svg viewBox=format!("0 0 {size} {size}") role="img" aria-label=label shape-rendering="crispEdges">
                {paths
                    .into_iter()
                    .enumerate()
                    .filter(|(_, path)| !path.is_empty())
                    // The faintest cells must be distinguishable from empty ones.
                    .map(|(strength, path)| view! { <path d=path fill-opacity=format!("{:.2}", 0.16 + 0.06 * strength as f64)/> })
                    .collect_view()}
            </svg>
            <figcaption>{caption}</figcaption>
        </figure>
    }
}
