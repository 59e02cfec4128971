//! The permanent link: the address bar holds the race that is set up, or the report that was opened.

use leptos::prelude::*;
use report::{Config, Linked, decode_link, encode_config_link};
use wasm_bindgen::JsValue;

use super::hooks;
use super::store::Store;

/// Rest after the last change before the address is written: browsers refuse many writes in a short time.
const REST_MS: i32 = 300;

/// Reads the address the page was opened with, then keeps it in step with the set-up.
pub fn open(store: Store) {
    // What the address holds already need not be written again.
    let written = StoredValue::new(None::<Config>);
    read(store, written);
    hooks::listen("hashchange", move |_: web_sys::Event| {
        if store.phase.get_untracked() == crate::state::Phase::Idle {
            read(store, written);
        }
    });
    let turn = StoredValue::new(0_u32);
    Effect::new(move |_| {
        let Ok(config) = store.checked.get() else { return };
        // A link that could not be read stays in the address until its error is put away.
        if store.bad_link.with(Option::is_some)
            || written.with_value(|written| written.as_ref() == Some(&config))
        {
            return;
        }
        turn.update_value(|turn| *turn = turn.wrapping_add(1));
        let mine = turn.get_value();
        hooks::after(REST_MS, move || {
            if turn.try_get_value() == Some(mine) && write(&config) {
                written.set_value(Some(config));
            }
        });
    });
}

fn read(store: Store, written: StoredValue<Option<Config>>) {
    let hash = hooks::window().and_then(|window| window.location().hash().ok()).unwrap_or_default();
    if !hash.starts_with("#r") {
        return;
    }
    match decode_link(&hash) {
        Ok(Linked::Config(config)) => {
            written.set_value(Some(config.clone()));
            store.bad_link.set(None);
            store.choose(&config);
        }
        Ok(Linked::Report(report)) => {
            written.set_value(Some(report.config.clone()));
            store.bad_link.set(None);
            store.show(*report);
        }
        Err(error) => store.bad_link.set(Some(error.to_string())),
    }
}

fn write(config: &Config) -> bool {
    let Ok(fragment) = encode_config_link(config) else { return false };
    hooks::window()
        .and_then(|window| window.history().ok())
        .is_some_and(|history| history.replace_state_with_url(&JsValue::NULL, "", Some(&fragment)).is_ok())
}
