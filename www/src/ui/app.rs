//! The page's frame: header, race, configuration, results, explanations.

use leptos::prelude::*;
use web_sys::KeyboardEvent;

use super::Start;
use super::compare::Compare;
use super::config::Setup;
use super::dialogs::About;
use super::embed_dialog::{EmbedButton, EmbedDialog};
use super::export::ExportDialog;
use super::hardware::Hardware;
use super::help::{HelpButton, HelpDialog};
use super::history::History;
use super::hooks;
use super::lanes::Lanes;
use super::language::{self, LanguageButtons};
use super::live::{live, part};
use super::race::{Controls, Headline, NewerBuild, Notices, Presets};
use super::second_module::{Parts, SecondModule};
use super::share::{ShareDialog, Toolbar};
use super::store::{Rescued, Store};
use super::systems::{SystemDialog, SystemsList};
use super::table::Results;

/// The page. A change of the language rebuilds the view and keeps the state.
#[component]
pub fn App(start: Start) -> impl IntoView {
    let store = start.store();
    // Before the second module, which sets the page's title for an opened race.
    language::follow(store);
    hooks::listen("crossover-part-told", move |event: web_sys::CustomEvent| {
        let detail = event.detail();
        let told = |name: &str| {
            js_sys::Reflect::get(&detail, &name.into())
                .ok()
                .and_then(|word| word.as_string())
                .unwrap_or_default()
        };
        let race = told("race");
        let race = (!race.is_empty()).then_some(race == "kept");
        store.rescued.set(Rescued { gone: !told("gone").is_empty(), race });
    });
    match start.second_module {
        Some(rest) => store.take_rest(rest),
        None => store.load_rest(),
    }
    let update = RwSignal::new(false);
    provide_context(NewerBuild(update));
    hooks::listen("crossover-update", move |_: web_sys::Event| update.set(true));
    keyboard(store);
    leave_guard(store);
    announcements(store);
    hidden_guard(store);
    view! {
        {part(move || {
            store.language.track();
            view! { <Page store/> }
        })}
        <div class="sr-only" role="status" aria-live="polite" data-testid="announcer">{part(move || store.said.get())}</div>
    }
}

#[component]
fn Page(store: Store) -> impl IntoView {
    let text = store.text();
    view! {
        <a class="skip" href="#race" on:click=move |event| go(store, &event, "race")>{text.skip}</a>
        <header class="top">
            <a class="brand" href="./" aria-label=text.words.name>
                <Logo/>
                <span>{text.words.name}</span>
            </a>
            <nav>
                <a href="#systems" on:click=move |event| go(store, &event, "systems")>{text.systems_title}</a>
                <a href="#about" on:click=move |event| go(store, &event, "about")>{text.about_title}</a>
            </nav>
            <LanguageButtons store/>
            <HelpButton store/>
            <ThemeButton store/>
        </header>
        <main>
            <section class="hero">
                <h1>{text.tagline}</h1>
                <p class="intro">{text.intro}</p>
            </section>
            <Notices store/>
            <Presets store/>
            <div class="bench" id="race" tabindex="-1">
                <div class="stage">
                    <section class="card race" aria-label=live(move || text.of(store.mode()).chart_title)>
                        <Headline store/>
                        <Controls store/>
                        {part(move || match store.second_module.get() {
                            SecondModule::Here(rest) => (rest.chart)(store),
                            SecondModule::Waiting | SecondModule::Failed => view! { <div class="chart-room"></div> }.into_any(),
                        })}
                        <Lanes store/>
                        <Toolbar store><EmbedButton store/></Toolbar>
                    </section>
                </div>
                <aside class="side">
                    <Setup store/>
                </aside>
            </div>
            {part(move || rest(store).map(|rest| (rest.sections)(store)))}
        </main>
        {part(move || rest(store).map(|rest| (rest.dialogs)(store)))}
    }
}

/// The second module, once it is loaded.
fn rest(store: Store) -> Option<&'static Parts> {
    match store.second_module.get() {
        SecondModule::Here(rest) => Some(rest),
        SecondModule::Waiting | SecondModule::Failed => None,
    }
}

/// The sections below the race. Part of the second module.
pub fn sections(store: Store) -> AnyView {
    view! {
        <Results store/>
        <Compare store/>
        <History store/>
        <Hardware store/>
        <SystemsList store/>
        <About store/>
    }
    .into_any()
}

/// Dialogs, overlays and the footer. Part of the second module.
pub fn dialogs(store: Store) -> AnyView {
    let text = store.text();
    view! {
        <footer class="foot">{text.footer}</footer>
        <SystemDialog store/>
        <ShareDialog store/>
        <ExportDialog store/>
        <div class="drop-hint" aria-hidden="true"><p>{text.travel.drop_here}</p></div>
        <HelpDialog store/>
        <EmbedDialog store/>
    }
    .into_any()
}

/// Scrolls to a part of the page without changing the address, which contains the race.
fn go(store: Store, event: &web_sys::MouseEvent, id: &'static str) {
    event.prevent_default();
    jump(store, id);
}

/// The part of the page that a key scrolls to.
fn part_of(key: &str) -> Option<&'static str> {
    Some(match key {
        "g" => "race",
        "c" => "setup",
        "r" => "results",
        "s" => "systems",
        _ => return None,
    })
}

fn jump(store: Store, id: &'static str) {
    let element = hooks::element(id);
    if element.is_none() && !matches!(store.second_module.get_untracked(), SecondModule::Here(_)) {
        // The part exists a moment after the second module is loaded.
        store.with_rest(move |_| hooks::after(0, move || jump(store, id)));
    }
    if let Some(element) = element {
        element.scroll_into_view();
        let _ = element.set_attribute("tabindex", "-1");
        let options = web_sys::FocusOptions::new();
        options.set_prevent_scroll(true);
        let _ = element.focus_with_options(&options);
    }
}

#[component]
fn Logo() -> impl IntoView {
    view! {
        <svg class="logo" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true">
            <path class="logo-a" d="M4 27C13 27 20 20 27 4"/>
            <path class="logo-b" d="M4 20L28 13"/>
            <circle class="logo-c" cx="19.2" cy="16" r="3.6"/>
        </svg>
    }
}

/// Cycles through the themes: the system's, light, dark.
#[component]
fn ThemeButton(store: Store) -> impl IntoView {
    let text = store.text();
    let theme = RwSignal::new(hooks::stored("theme").unwrap_or_default());
    let label = move || match theme.get().as_str() {
        "light" => text.theme_light,
        "dark" => text.theme_dark,
        _ => text.theme_auto,
    };
    let next = move |_| {
        let next = match theme.get_untracked().as_str() {
            "light" => "dark",
            "dark" => "",
            _ => "light",
        };
        theme.set(next.to_owned());
        hooks::store("theme", next);
        let root = hooks::window()
            .and_then(|window| window.document())
            .and_then(|document| document.document_element());
        if let Some(root) = root {
            let _ = root.set_attribute("data-theme", next);
        }
    };
    view! {
        <button class="quiet icon" type="button" data-testid="theme" title=live(label) aria-label=live(label) on:click=next>
            <svg viewBox="0 0 24 24" width="20" height="20" aria-hidden="true" class="theme-icon">
                <circle cx="12" cy="12" r="8.2"/>
                {part(move || match theme.get().as_str() {
                    "light" => view! { <circle class="solid" cx="12" cy="12" r="4"/> }.into_any(),
                    "dark" => view! { <path class="solid" d="M12 5.5a6.5 6.5 0 1 0 6.5 6.5A5 5 0 0 1 12 5.5z"/> }.into_any(),
                    _ => view! { <path class="solid" d="M12 3.8a8.2 8.2 0 0 1 0 16.4z"/> }.into_any(),
                })}
            </svg>
        </button>
    }
}

/// Handles the keys of `Text::help_keys`, unless the focused element uses the key itself. Letters and signs are handled
/// only outside of fields.
fn keyboard(store: Store) {
    hooks::listen("keydown", move |event: KeyboardEvent| {
        if event.default_prevented()
            || event.repeat()
            || event.ctrl_key()
            || event.meta_key()
            || event.alt_key()
        {
            return;
        }
        let taken = hooks::takes_keys(event.target());
        if hooks::dialog_open() {
            return;
        }
        match event.key().as_str() {
            "?" if !hooks::typing(event.target()) => {
                event.prevent_default();
                store.help.set(true);
            }
            key if !hooks::typing(event.target()) && part_of(key).is_some() => {
                event.prevent_default();
                if let Some(id) = part_of(key) {
                    jump(store, id);
                }
            }
            " " if !taken => {
                event.prevent_default();
                if store.phase.get_untracked() == crate::state::Phase::Idle {
                    store.start();
                } else {
                    store.cancel();
                }
            }
            "Escape" => store.cancel(),
            _ => {}
        }
    });
}

/// Asks for confirmation before leaving the page while a race runs.
fn leave_guard(store: Store) {
    hooks::listen("beforeunload", move |event: web_sys::BeforeUnloadEvent| {
        if store.phase.get_untracked() != crate::state::Phase::Idle && !store.leaving.get_untracked() {
            event.prevent_default();
            event.set_return_value("");
        }
    });
}

/// Notes that the tab was hidden during a race, so that the page can explain the longer duration.
pub fn hidden_guard(store: Store) {
    hooks::on_hidden(move || {
        if store.phase.get_untracked() != crate::state::Phase::Idle {
            store.was_hidden.set(true);
        }
    });
}

/// Announces the progress to screen readers, at most every six seconds.
pub fn announcements(store: Store) {
    let last = StoredValue::new(0.0_f64);
    Effect::new(move |_| {
        let Some(progress) = store.progress.get() else { return };
        let now = js_sys::Date::now();
        if now - last.get_value() < 6_000.0 {
            return;
        }
        last.set_value(now);
        let text = store.text();
        let doing = super::race::doing(store, &progress);
        store.said.set((text.announce)(
            (progress.fraction * 100.0) as u32,
            &doing,
            &chart::format::rough_time(progress.remaining_ms),
        ));
    });
}
