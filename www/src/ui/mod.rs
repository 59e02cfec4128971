//! The components. They hold no judgement of their own: what is shown is computed in the pure modules.

mod app;
mod chart;
mod client;
mod compare;
mod config;
mod desk;
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
mod share;
mod store;
mod systems;
mod table;

use wasm_bindgen::prelude::*;

/// Puts the page where `index.html` has made room for it.
#[wasm_bindgen(start)]
fn start() {
    let Some(root) = hooks::element("app") else { return };
    root.set_inner_html("");
    // `embed.html` asks for the layout of a frame in another page.
    if root.dataset().get("layout").as_deref() == Some("embed") {
        leptos::mount::mount_to(root, embed::Embedded).forget();
    } else {
        leptos::mount::mount_to(root, app::App).forget();
    }
}
