//! The form for the configuration of a race: lanes, problem, run. All input is kept, and errors appear at their fields.

use leptos::prelude::*;
use report::{BackendName, Config, LevelName, ParamEntry, SystemEntry};

use crate::draft::{self, Draft, Field, LaneDraft};
use crate::text::Text;
use chart::format;
use chart::lanes::{OneWay, slot_of, slots};

use super::lanes::Marker;
use super::live::{live, part, truth};
use super::store::Store;

fn error_of(store: Store, field: &Field) -> Option<String> {
    store.checked.with(|checked| checked.as_ref().err().and_then(|errors| errors.get(field).cloned()))
}

/// The form.
#[component]
pub fn Setup(store: Store) -> impl IntoView {
    let text = store.text();
    let decoding = Memo::new(move |_| store.draft.with(|draft| draft.decoding));
    view! {
        <section class="card setup" id="setup" aria-labelledby="setup-title" data-testid="config">
            <header class="setup-head">
                <h2 id="setup-title">{text.config_title}</h2>
                <small class="locked" class:off=live(move || store.phase.get() == crate::state::Phase::Idle)>{text.config_locked}</small>
                <button type="button" class="quiet small" data-testid="config-reset" on:click=move |_| store.choose(&Config::default())>
                    {text.reset}
                </button>
            </header>
            <Mode store decoding/>
            <LaneList store/>
            <fieldset>
                <legend>{text.config_problem}</legend>
                {part(move || {
                    let decoding = decoding.get();
                    let (name, label) = if decoding { ("contexts", text.decode.field_lengths) } else { ("lengths", text.forward.field_lengths) };
                    view! {
                        <TextField store field=Field::Lengths name label help=text.field_lengths_help note=lengths_note wide=true
                            get=|d| d.lengths.clone() set=|d, v| d.lengths = v/>
                        {decoding.then(|| view! {
                            <TextField store field=Field::Tokens name="tokens" label=text.field_tokens help=text.field_tokens_help numeric=true wide=true
                                get=|d| d.tokens.clone() set=|d, v| d.tokens = v/>
                        })}
                    }
                })}
                <TextField store field=Field::Width name="width" label=text.field_width numeric=true
                    get=|d| d.width.clone() set=|d, v| d.width = v/>
                <TextField store field=Field::Heads name="heads" label=text.field_heads numeric=true
                    get=|d| d.heads.clone() set=|d, v| d.heads = v/>
                <TextField store field=Field::Batch name="batch" label=text.field_batch numeric=true
                    get=|d| d.batch.clone() set=|d, v| d.batch = v/>
                <div class="field wide" title=text.level_help>
                    <span class="label" id="label-level">{text.field_level}</span>
                    <Choice store name="level" label="label-level"
                        options=vec![("layer", text.words.level_layer), ("core", text.words.level_core)]
                        get=|d| match d.level { LevelName::Core => "core", LevelName::Layer => "layer" }
                        set=|d, v| d.level = if v == "core" { LevelName::Core } else { LevelName::Layer }/>
                </div>
                <label class="field check wide">
                    <input
                        type="checkbox"
                        data-testid="config-causal"
                        prop:checked=live(move || store.draft.with(|draft| draft.causal || draft.decoding))
                        disabled=live(move || decoding.get())
                        on:change=move |event| { let on = event_target_checked(&event); store.draft.update(|draft| draft.causal = on); }
                    />
                    <span>{text.field_causal}<small>{part(move || if decoding.get() { text.field_causal_fixed } else { text.field_causal_help })}</small></span>
                </label>
            </fieldset>
            <fieldset>
                <legend>{text.config_run}</legend>
                <div class="field wide">
                    <span class="label" id="label-backend">{text.field_backend}</span>
                    <Choice store name="backend" label="label-backend"
                        options=vec![("auto", text.backend_auto), ("webgpu", text.words.backend_gpu), ("cpu", text.words.backend_cpu)]
                        get=|d| backend_word(Some(d.backend))
                        set=|d, v| d.backend = backend_of(&v).unwrap_or(BackendName::Auto)/>
                </div>
                <TextField store field=Field::Threads name="threads" label=text.field_threads numeric=true placeholder=text.field_threads_auto
                    get=|d| d.threads.clone() set=|d, v| d.threads = v/>
                <TextField store field=Field::Budget name="budget" label=text.field_budget numeric=true
                    get=|d| d.budget_s.clone() set=|d, v| d.budget_s = v/>
                <TextField store field=Field::Seed name="seed" label=text.field_seed numeric=true
                    get=|d| d.seed.clone() set=|d, v| d.seed = v/>
            </fieldset>
        </section>
    }
}

/// The choice of what is timed, with a sentence about it.
#[component]
fn Mode(store: Store, decoding: Memo<bool>) -> impl IntoView {
    let text = store.text();
    view! {
        <div class="field mode" title=format!("{}: {}\n{}: {}", text.forward.name.0, text.forward.name.1, text.decode.name.0, text.decode.name.1)>
            <span class="label" id="label-mode">{text.field_mode}</span>
            <Choice store name="mode" label="label-mode"
                options=vec![("forward", text.forward.name.0), ("decode", text.decode.name.0)]
                get=|d| if d.decoding { "decode" } else { "forward" }
                set=|d, v| d.decoding = v == "decode"/>
            <p class="field-note" data-testid="config-mode-note" aria-live="polite">
                {part(move || if decoding.get() { text.decode.name.1 } else { text.forward.name.1 })}
            </p>
        </div>
    }
}

fn backend_word(backend: Option<BackendName>) -> &'static str {
    match backend {
        None => "",
        Some(BackendName::Auto) => "auto",
        Some(BackendName::Cpu) => "cpu",
        Some(BackendName::Webgpu) => "webgpu",
    }
}

fn backend_of(word: &str) -> Option<BackendName> {
    match word {
        "auto" => Some(BackendName::Auto),
        "cpu" => Some(BackendName::Cpu),
        "webgpu" => Some(BackendName::Webgpu),
        _ => None,
    }
}

/// A field with its label, help and error.
#[component]
fn TextField(
    store: Store,
    field: Field,
    name: &'static str,
    label: &'static str,
    #[prop(default = "")] help: &'static str,
    #[prop(default = |_, _| None)] note: fn(&Draft, &Text) -> Option<String>,
    #[prop(default = "")] placeholder: &'static str,
    #[prop(default = false)] numeric: bool,
    #[prop(default = false)] wide: bool,
    get: fn(&Draft) -> String,
    set: fn(&mut Draft, String),
) -> impl IntoView {
    let error = Memo::new(move |_| error_of(store, &field));
    let note = Memo::new(move |_| store.draft.with(|draft| note(draft, store.text())));
    view! {
        <div class="field" class:wide=wide class:bad=live(move || error.with(Option::is_some))>
            <label for=format!("config-{name}")>{label}</label>
            <input
                id=format!("config-{name}")
                data-testid=format!("config-{name}")
                type="text"
                inputmode=if numeric { "numeric" } else { "text" }
                autocomplete="off"
                spellcheck="false"
                placeholder=placeholder
                prop:value=live(move || store.draft.with(get))
                aria-invalid=truth(move || error.with(Option::is_some))
                aria-describedby=format!("note-{name}")
                on:input=move |event| { let value = event_target_value(&event); store.draft.update(|draft| set(draft, value)); }
            />
            <p class="field-note" id=format!("note-{name}") aria-live="polite">
                {part(move || match error.get() {
                    Some(error) => view! { <span class="error" data-testid=format!("config-{name}-error")>{error}</span> }.into_any(),
                    None => view! { <span>{help}</span> }.into_any(),
                })}
                {part(move || note.get().filter(|_| error.with(Option::is_none)).map(|note| {
                    view! { <span class="races" data-testid=format!("config-{name}-note")>{note}</span> }
                }))}
            </p>
        </div>
    }
}

/// The lengths of the next race, however they were typed.
fn lengths_note(draft: &Draft, text: &Text) -> Option<String> {
    let lengths = report::parse_lengths(&draft.lengths).ok()?;
    let lengths: Vec<String> = lengths.into_iter().map(|length| format::length(f64::from(length))).collect();
    Some((text.lengths_raced)(&lengths.join(" · ")))
}

/// A group of radio buttons.
#[component]
fn Choice(
    store: Store,
    name: &'static str,
    label: &'static str,
    options: Vec<(&'static str, &'static str)>,
    get: fn(&Draft) -> &'static str,
    set: fn(&mut Draft, String),
) -> impl IntoView {
    view! {
        <div class="segments" role="radiogroup" aria-labelledby=label>
            {options
                .into_iter()
                .map(|(value, words)| {
                    view! {
                        <label>
                            <input
                                type="radio"
                                name=format!("config-{name}")
                                value=value
                                data-testid=format!("config-{name}-{value}")
                                prop:checked=live(move || store.draft.with(|draft| get(draft) == value))
                                on:change=move |_| store.draft.update(|draft| set(draft, value.to_owned()))
                            />
                            <span>{words}</span>
                        </label>
                    }
                })
                .collect_view()}
        </div>
    }
}

/// The chosen lanes, and the button that adds more.
#[component]
fn LaneList(store: Store) -> impl IntoView {
    let text = store.text();
    let adding = RwSignal::new(false);
    let full = move || store.draft.with(|draft| draft.lanes.len() >= draft::MAX_LANES);
    view! {
        <fieldset class="lane-list">
            <legend>{text.config_lanes}</legend>
            <ul>
                <For each=move || store.draft.with(|draft| draft.lanes.clone()) key=|lane| lane.key let:lane>
                    <LaneEditor store key=lane.key system=lane.system/>
                </For>
            </ul>
            {part(move || error_of(store, &Field::Systems).map(|error| view! { <p class="error" data-testid="config-systems-error">{error}</p> }))}
            <button
                type="button"
                class="add"
                data-testid="config-add-lane"
                aria-expanded=truth(move || adding.get())
                aria-controls="system-picker"
                disabled=live(full)
                on:click=move |_| {
                    adding.update(|adding| *adding = !*adding);
                    if adding.get_untracked() { super::hooks::focus_soon("config-search"); }
                }
            >
                <span aria-hidden="true">{part(move || if adding.get() { "–" } else { "+" })}</span>
                {text.add_lane}
            </button>
            <div id="system-picker" hidden=live(move || !adding.get())>
                <Picker store/>
            </div>
        </fieldset>
    }
}

/// One lane of the form.
#[component]
fn LaneEditor(store: Store, key: u32, system: String) -> impl IntoView {
    let text = store.text();
    let id = StoredValue::new(system);
    let entry = Memo::new(move |_| {
        store
            .systems
            .with(|systems| id.with_value(|id| systems.iter().find(|entry| entry.id == *id).cloned()))
    });
    let title = move || {
        entry.with(|entry| entry.as_ref().map_or_else(|| id.get_value(), |entry| entry.title.clone()))
    };
    let change = move |change: &dyn Fn(&mut LaneDraft)| {
        store.draft.update(|draft| {
            if let Some(lane) = draft.lanes.iter_mut().find(|lane| lane.key == key) {
                change(lane);
            }
        });
    };
    let backend = move || {
        store.draft.with(|draft| {
            backend_word(draft.lanes.iter().find(|lane| lane.key == key).and_then(|lane| lane.backend))
        })
    };
    let filled = move || {
        let own = store.draft.with(|draft| {
            draft
                .lanes
                .iter()
                .find(|lane| lane.key == key)
                .and_then(|lane| lane.backend)
                .unwrap_or(draft.backend)
        });
        chart::lanes::backend_id(own, store.auto_backend()) != "cpu"
    };
    let no_decode = move || {
        store
            .draft
            .with(|draft| draft.decoding)
            .then(|| entry.with(|entry| text.no_decode_of(entry.as_ref()?)))
            .flatten()
    };
    let slot = move || {
        store.draft.with(|draft| {
            let at = draft.lanes.iter().position(|lane| lane.key == key);
            let ids: Vec<&str> = draft.lanes.iter().map(|lane| lane.system.as_str()).collect();
            let slots = store.systems.with(|systems| slots(&ids, systems));
            at.and_then(|at| slots.get(at).copied()).unwrap_or_default()
        })
    };
    view! {
        <li class="lane-editor" data-testid=format!("config-lane-{}", id.get_value())>
            <div class="lane-line">
                {part(move || view! { <Marker shape=slot() filled=filled()/> })}
                <button
                    type="button"
                    class="lane-title"
                    aria-label=live(move || (text.about_system)(&title()))
                    on:click=move |_| store.system.set(Some(id.get_value()))
                >
                    {part(title)}
                </button>
                <select
                    aria-label=live(move || (text.lane_backend)(&title()))
                    prop:value=live(backend)
                    on:change=move |event| {
                        let value = event_target_value(&event);
                        change(&|lane| lane.backend = backend_of(&value));
                    }
                >
                    <option value="">{text.backend_race}</option>
                    <option value="webgpu">{text.words.backend_gpu}</option>
                    <option value="cpu">{text.words.backend_cpu}</option>
                </select>
                <button
                    type="button"
                    class="quiet icon small"
                    aria-label=live(move || (text.remove_lane)(&title()))
                    on:click=move |_| store.draft.update(|draft| draft.remove(key))
                >
                    <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path d="M2 2l8 8M10 2l-8 8"/></svg>
                </button>
            </div>
            {part(move || error_of(store, &Field::Lane(key)).map(|error| view! { <p class="error">{error}</p> }))}
            {part(move || no_decode().map(|why| view! { <p class="field-note" data-testid="config-no-decode">{why}</p> }))}
            <div class="lane-sub">
            {part(move || {
                entry
                    .with(|entry| entry.as_ref().and_then(|entry| OneWay::of(&entry.causality)))
                    .map(|one_way| view! { <span class="tag" title=text.one_way_note>{one_way.label(text.words)}</span> })
            })}
            {part(move || {
                let params = entry.with(|entry| entry.as_ref().map(|entry| entry.params.clone()).unwrap_or_default());
                (!params.is_empty())
                    .then(|| {
                        view! {
                            <details class="lane-params">
                                <summary>{text.lane_params}</summary>
                                <div class="params">
                                    {params.into_iter().map(|param| view! { <ParamField store key param/> }).collect_view()}
                                </div>
                            </details>
                        }
                    })
            })}
            </div>
        </li>
    }
}

/// One parameter of a lane.
#[component]
fn ParamField(store: Store, key: u32, param: ParamEntry) -> impl IntoView {
    let name = StoredValue::new(param.name.clone());
    let field = Field::Param(key, param.name.clone());
    let error = Memo::new(move |_| error_of(store, &field));
    let standard = StoredValue::new(draft::default_text(&param));
    let value = move || {
        store.draft.with(|draft| {
            draft
                .lanes
                .iter()
                .find(|lane| lane.key == key)
                .and_then(|lane| name.with_value(|name| lane.params.get(name).cloned()))
                .unwrap_or_else(|| standard.get_value())
        })
    };
    let set = move |typed: String| {
        store.draft.update(|draft| {
            if let Some(lane) = draft.lanes.iter_mut().find(|lane| lane.key == key) {
                let name = name.get_value();
                if standard.with_value(|standard| *standard == typed) {
                    lane.params.remove(&name);
                } else {
                    lane.params.insert(name, typed);
                }
            }
        });
    };
    let id = format!("param-{key}-{}", param.name);
    let note = format!("note-{id}");
    let testid = format!("config-param-{}", param.name);
    let control = match param.kind.as_str() {
        "flag" => view! {
            <input id=id.clone() data-testid=testid type="checkbox" aria-describedby=note.clone()
                prop:checked=live(move || value() == "true")
                on:change=move |event| set(event_target_checked(&event).to_string())/>
        }
        .into_any(),
        "choice" => view! {
            <select id=id.clone() data-testid=testid aria-describedby=note.clone() prop:value=live(value) on:change=move |event| set(event_target_value(&event))>
                {param.choices.iter().map(|choice| {
                    let word = choice.clone();
                    let chosen = { let word = word.clone(); move || value() == word };
                    view! { <option value=word.clone() selected=live(chosen)>{word.clone()}</option> }
                }).collect_view()}
            </select>
        }
        .into_any(),
        _ => view! {
            <input id=id.clone() data-testid=testid type="text" inputmode="decimal" autocomplete="off" aria-describedby=note.clone()
                aria-invalid=truth(move || error.with(Option::is_some))
                prop:value=live(value)
                on:input=move |event| set(event_target_value(&event))/>
        }
        .into_any(),
    };
    view! {
        <div class="field" class:bad=live(move || error.with(Option::is_some))>
            <label for=id><code>{param.name.clone()}</code></label>
            {control}
            <p class="field-note" id=note aria-live="polite">
                {part(move || match error.get() {
                    Some(error) => view! { <span class="error">{error}</span> }.into_any(),
                    None => view! { <span>{param.help.clone()}</span> }.into_any(),
                })}
            </p>
        </div>
    }
}

/// All systems by family, with a search field.
#[component]
fn Picker(store: Store) -> impl IntoView {
    let text = store.text();
    let query = RwSignal::new(String::new());
    let decoding = Memo::new(move |_| store.draft.with(|draft| draft.decoding));
    let groups = Memo::new(move |_| {
        let query = query.get().to_ascii_lowercase();
        store.systems.with(|systems| grouped(systems, &query, |family| text.family(family)))
    });
    view! {
        <input
            id="config-search"
            data-testid="config-search"
            type="search"
            autocomplete="off"
            placeholder=text.search_placeholder
            aria-label=text.search_systems
            prop:value=query
            on:input=move |event| query.set(event_target_value(&event))
        />
        <div class="picker">
            {part(move || {
                let groups = groups.get();
                let decoding = decoding.get();
                if groups.is_empty() {
                    return view! { <p class="muted">{text.search_none}</p> }.into_any();
                }
                groups
                    .into_iter()
                    .map(|(family, members)| {
                        view! {
                            <div role="group" aria-label=family>
                                <h3>{family}</h3>
                                {members
                                    .into_iter()
                                    .map(|entry| {
                                        let id = entry.id.clone();
                                        let mark = slot_of(&entry);
                                        let refused = text.no_decode_of(&entry).filter(|_| decoding);
                                        view! {
                                            <button
                                                type="button"
                                                class="pick"
                                                data-testid=format!("config-add-{id}")
                                                title=refused.clone().unwrap_or(entry.summary)
                                                on:click=move |_| store.draft.update(|draft| draft.add(&id))
                                            >
                                                <Marker shape=mark filled=true/>
                                                <span>{entry.title}</span>
                                                <small>{if refused.is_some() { text.no_decode.to_owned() } else { text.complexity(&entry.complexity) }}</small>
                                            </button>
                                        }
                                    })
                                    .collect_view()}
                            </div>
                        }
                    })
                    .collect_view()
                    .into_any()
            })}
        </div>
    }
}

/// Systems that match a search, by family, in the catalogue's order.
pub fn grouped(
    systems: &[SystemEntry],
    query: &str,
    family_name: impl Fn(&str) -> &'static str,
) -> Vec<(&'static str, Vec<SystemEntry>)> {
    let mut groups: Vec<(&'static str, Vec<SystemEntry>)> = Vec::new();
    for entry in systems {
        let family = family_name(&entry.family);
        let text = format!(
            "{} {} {} {} {} {}",
            entry.id, entry.title, family, entry.complexity, entry.paper, entry.summary
        )
        .to_ascii_lowercase();
        if !query.split_whitespace().all(|word| text.contains(word)) {
            continue;
        }
        match groups.iter_mut().find(|(name, _)| *name == family) {
            Some((_, members)) => members.push(entry.clone()),
            None => groups.push((family, vec![entry.clone()])),
        }
    }
    groups
}
