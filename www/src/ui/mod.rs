//! The components. They contain no logic: the pure modules compute what is shown.

mod app;
mod chart;
mod client;
mod compare;
mod config;
mod dialogs;
mod embed;
mod embed_dialog;
mod export;
mod hardware;
mod help;
mod history;
mod hooks;
mod lanes;
mod language;
mod link;
mod live;
mod parts;
mod race;
mod second_module;
mod share;
mod shared_runs;
mod store;
mod systems;
mod table;

use leptos::prelude::*;
use wasm_bindgen::prelude::*;

use crate::text::{ENGLISH, Language, Text};

/// Mounts the page at its place in `index.html`, or the frame of another page at its place in `embed.html`.
///
/// # Errors
/// Where the frame, which is in the second module, could not be loaded. A further call tries again.
#[wasm_bindgen]
pub async fn open() -> Result<(), JsValue> {
    let Some(root) = hooks::element("app") else { return Ok(()) };
    let language = language::chosen();
    let (text, unspoken) = match language::text(language).await {
        Ok(text) => (text, None),
        Err(_) => (&ENGLISH, Some(language)),
    };
    let mut start = Start { text, unspoken, second_module: None };
    if root.dataset().get("layout").as_deref() == Some("embed") {
        let rest = second_module::load()
            .await
            .map_err(|_| JsError::new("a part of the race could not be loaded"))?;
        root.set_inner_html("");
        leptos::mount::mount_to(root, move || (rest.embedded)(start)).forget();
        return Ok(());
    }
    // A link determines what is shown first, and the second module reads it.
    if link::given() {
        start.second_module = second_module::load().await.ok();
    }
    root.set_inner_html("");
    leptos::mount::mount_to(root, move || view! { <app::App start/> }).forget();
    Ok(())
}

/// Values loaded before the page is shown.
#[derive(Clone, Copy)]
struct Start {
    text: &'static Text,
    unspoken: Option<Language>,
    second_module: Option<&'static second_module::Parts>,
}

impl Start {
    fn store(self) -> store::Store {
        let store = store::Store::new(self.text);
        store.unspoken.set(self.unspoken);
        store
    }
}
