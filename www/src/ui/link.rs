//! The permanent link: the address bar contains the configured race or the opened report.

use leptos::prelude::*;
use report::{Config, Linked, decode_link, encode_config_link, encode_link};
use wasm_bindgen::JsValue;

use crate::embed::Asked;
use crate::text::Told;

use super::hooks;
use super::store::Store;

/// Milliseconds between the last change and the update of the address, since browsers refuse frequent updates.
const REST_MS: i32 = 300;

/// Beginning of a link to the page of a system.
const SYSTEM: &str = "#system=";

/// Longest system name that is looked up, in characters.
const MAX_ID: usize = 64;

/// Whether the page was opened with a link.
pub fn given() -> bool {
    let hash = fragment();
    hash.starts_with("#r") || hash.starts_with(SYSTEM) || is_set_up(&hash)
}

/// Whether a fragment configures a race by names, as an embed's does: `#systems=attention+hyena&lengths=512..4096`.
fn is_set_up(hash: &str) -> bool {
    hash.contains('=') && !hash.starts_with("#r") && !hash.starts_with(SYSTEM)
}

/// Reads the address with which the page was opened, then keeps it up to date with the configuration.
pub fn open(store: Store) {
    // The configuration that the address already contains, which need not be written again.
    let written = StoredValue::new(None::<Config>);
    read(store, written);
    hooks::listen("hashchange", move |_: web_sys::Event| {
        if store.phase.get_untracked() == crate::state::Phase::Idle || fragment().starts_with(SYSTEM) {
            read(store, written);
        } else if let Some(config) = written.get_value() {
            let hash = fragment();
            let race = hash.starts_with("#r") || is_set_up(&hash);
            // The race under way stays, and so does its address.
            write(&config);
            if race {
                store.bad_link.set(Some(Told::plain(store.text().travel.racing_now)));
            }
        }
    });
    let turn = StoredValue::new(0_u32);
    Effect::new(move |_| {
        let Ok(config) = store.checked.get() else { return };
        // A link that could not be read stays in the address until its error is dismissed.
        if store.bad_link.with(Option::is_some)
            || written.with_value(|written| written.as_ref() == Some(&config))
        {
            return;
        }
        turn.update_value(|turn| *turn = turn.wrapping_add(1));
        let mine = turn.get_value();
        hooks::after(REST_MS, move || {
            // While the page of a system is open, the address names the system.
            let free = store.system.with_untracked(Option::is_none);
            if turn.try_get_value() == Some(mine) && free && write(&config) {
                written.set_value(Some(config));
            }
        });
    });
    system_address(store);
}

/// While the page of a system is open, the address links to it. Afterwards the former address is restored.
fn system_address(store: Store) {
    let before = StoredValue::new(String::new());
    Effect::new(move |was_open: Option<bool>| {
        let was_open = was_open.unwrap_or(false);
        if let Some(id) = store.system.get() {
            if !was_open {
                before
                    .set_value(Some(fragment()).filter(|hash| !hash.starts_with(SYSTEM)).unwrap_or_default());
            }
            replace(&format!("{SYSTEM}{id}"));
            true
        } else {
            if was_open {
                let before = before.get_value();
                let config = store.checked.get_untracked().ok().filter(|_| before.is_empty());
                if !config.is_some_and(|config| write(&config)) {
                    replace(&before);
                }
            }
            false
        }
    });
    // A link may name a system that this build does not have.
    Effect::new(move |_| {
        let Some(id) = store.system.get() else { return };
        let unknown =
            store.systems.with(|systems| !systems.is_empty() && systems.iter().all(|entry| entry.id != id));
        if unknown {
            store.system.set(None);
            store.bad_link.set(Some(Told::plain((store.text().error_unknown_system)(&id))));
        }
    });
}

fn fragment() -> String {
    hooks::window().and_then(|window| window.location().hash().ok()).unwrap_or_default()
}

fn read(store: Store, written: StoredValue<Option<Config>>) {
    let hash = fragment();
    if let Some(id) = hash.strip_prefix(SYSTEM) {
        store.system.set(Some(id.chars().take(MAX_ID).collect()));
        return;
    }
    if is_set_up(&hash) {
        let asked = Asked::new(hash.trim_start_matches('#'));
        if asked.sets_up() {
            match asked.draft(store.language.get_untracked()) {
                Ok(draft) => {
                    store.bad_link.set(None);
                    // Typed text: errors appear at its fields, and the address is updated once it is valid.
                    store.draft.set(draft);
                }
                Err(message) => store.bad_link.set(Some(Told::plain(message))),
            }
        }
        return;
    }
    if !hash.starts_with("#r") {
        return;
    }
    match decode_link(&hash) {
        Ok(Linked::Config(config)) => {
            store.bad_link.set(None);
            mend(&hash, || encode_config_link(&config).ok());
            written.set_value(Some(config.clone()));
            store.choose(&config);
        }
        Ok(Linked::Report(report)) => {
            written.set_value(Some(report.config.clone()));
            store.bad_link.set(None);
            mend(&hash, || encode_link(&report).ok());
            store.show(*report);
        }
        Err(error) => store.bad_link.set(Some(Told::of(&error))),
    }
}

/// Replaces an altered address by the link that was recovered from it, so that a copy of the address is correct.
fn mend(hash: &str, link: impl FnOnce() -> Option<String>) {
    let own = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let is_whole = hash.strip_prefix("#r=").is_some_and(|letters| letters.chars().all(own));
    if !is_whole && let Some(link) = link() {
        replace(&link);
    }
}

fn write(config: &Config) -> bool {
    encode_config_link(config).is_ok_and(|fragment| replace(&fragment))
}

/// Replaces the fragment of the address; an empty one removes it.
fn replace(fragment: &str) -> bool {
    let fragment = if fragment.is_empty() { "./" } else { fragment };
    hooks::window()
        .and_then(|window| window.history().ok())
        .is_some_and(|history| history.replace_state_with_url(&JsValue::NULL, "", Some(fragment)).is_ok())
}
