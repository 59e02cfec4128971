//! The race in a frame of another page: headline, controls, chart, lanes, and a link to the full page. `embed.js` draws
//! the still image, loads this module and relays messages between it and the host. Both communicate by events of the
//! window.

use leptos::prelude::*;
use report::{Linked, decode_link, encode_config_link, encode_link};

use crate::embed::Asked;
use crate::state::Phase;
use crate::text::Told;

use super::Start;
use super::app::{announcements, hidden_guard};
use super::chart::Chart;
use super::hooks;
use super::lanes::Lanes;
use super::language;
use super::live::{live, part};
use super::race::{Controls, Headline, Notices};
use super::second_module::{self, SecondModule};
use super::store::Store;

/// The frame's content.
#[component]
pub fn Embedded(start: Start) -> impl IntoView {
    let store = start.store();
    store.second_module.set(SecondModule::Here(&second_module::PARTS));
    let refused = RwSignal::new(None::<String>);
    announcements(store);
    hidden_guard(store);
    language::follow(store);
    set_up(store, refused);
    hooks::listen("crossover-setup", move |_: web_sys::Event| {
        // A new configuration replaces the current race.
        store.cancel();
        set_up(store, refused);
    });
    hooks::listen("crossover-start", move |_: web_sys::Event| match untrack(|| trouble(store, refused)) {
        // A repeated request gets the answer again.
        Some((code, message)) => tell(code, &message),
        None => store.start(),
    });
    hooks::listen("crossover-cancel", move |_: web_sys::Event| store.cancel());
    tell_problems(store, refused);
    view! {
        {part(move || {
            store.language.track();
            view! { <Frame store refused/> }
        })}
        <div class="sr-only" role="status" aria-live="polite">{part(move || store.said.get())}</div>
    }
}

#[component]
fn Frame(store: Store, refused: RwSignal<Option<String>>) -> impl IntoView {
    let text = store.text();
    let one_thread = Memo::new(move |_| {
        store.environment.with(|known| known.as_ref().is_some_and(|known| !known.isolated))
    });
    view! {
        <main class="embed-race race" data-testid="embed">
            <div class="embed-head">
                <h1>{text.words.name}</h1>
                <a class="full" data-testid="full" href=live(move || full(store)) target="_blank" rel="noopener">{text.embed_open}</a>
                {part(move || one_thread.get().then(|| view! { <span class="one-thread" data-testid="one-thread">{text.embed_one_thread}</span> }))}
            </div>
            <Notices store/>
            {part(move || wrong(store, refused).map(|message| view! {
                <div class="notice bad" role="alert" data-testid="setup-error">
                    <p><strong>{text.embed_invalid}</strong>" "{message}</p>
                </div>
            }))}
            <Headline store/>
            <Controls store/>
            <Chart store/>
            <Lanes store/>
        </main>
    }
}

/// The error in the requested race, if any.
fn wrong(store: Store, refused: RwSignal<Option<String>>) -> Option<String> {
    if store.bad_link.with(Option::is_some) {
        return None;
    }
    refused.get().or_else(|| {
        store.checked.with(|checked| {
            let errors = checked.as_ref().err()?;
            Some(errors.values().cloned().collect::<Vec<_>>().join(" "))
        })
    })
}

/// Reads the configuration that `embed.js` stored on the application's element.
fn set_up(store: Store, refused: RwSignal<Option<String>>) {
    let asked = hooks::element("app").and_then(|app| app.dataset().get("setup")).unwrap_or_default();
    let asked = Asked::new(&asked);
    refused.set(None);
    store.bad_link.set(None);
    match asked.link() {
        Some(link) => match decode_link(&link) {
            Ok(Linked::Config(config)) => store.choose(&config),
            Ok(Linked::Report(report)) => store.show(*report),
            Err(error) => {
                store.bad_link.set(Some(Told::of(&error)));
                set_up_nothing(store);
            }
        },
        None => match asked.draft(store.language.get_untracked()) {
            Ok(draft) => store.draft.set(draft),
            Err(message) => {
                refused.set(Some(message));
                set_up_nothing(store);
            }
        },
    }
}

/// Configures no race, since a configuration that cannot be read must not start another race in its place.
fn set_up_nothing(store: Store) {
    store.draft.update(|draft| draft.lanes.clear());
}

/// The full page's address with the content shown here. Links of reports take time to encode, so during a race the link
/// holds its configuration.
fn full(store: Store) -> String {
    let fragment = match (store.phase.get(), store.report.get()) {
        (Phase::Idle, Some(report)) => encode_link(&report).ok(),
        _ => None,
    };
    let fragment =
        fragment.or_else(|| store.checked.get().ok().and_then(|config| encode_config_link(&config).ok()));
    format!("./{}", fragment.unwrap_or_default())
}

/// Why the requested race cannot run, with a stable code.
fn trouble(store: Store, refused: RwSignal<Option<String>>) -> Option<(&'static str, String)> {
    let bad_link = store.bad_link.get().map(|told| ("bad-link", told.message));
    bad_link.or_else(|| Some(("invalid-setup", wrong(store, refused)?)))
}

/// Reports errors to the host.
fn tell_problems(store: Store, refused: RwSignal<Option<String>>) {
    Effect::new(move |_| {
        if let Some(problem) = store.problem.get() {
            tell(&problem.code, &problem.message);
        }
    });
    Effect::new(move |_| {
        if let Some((code, message)) = trouble(store, refused) {
            tell(code, &message);
        }
    });
}

fn tell(code: &str, message: &str) {
    hooks::announce("crossover-problem", &[("code", code), ("message", message)]);
}
