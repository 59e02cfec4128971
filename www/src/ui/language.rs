//! The language: chosen from the browser at first, remembered once the reader has switched.

use leptos::prelude::*;
use wasm_bindgen::JsValue;

use crate::text::{self, LANGUAGES, Text};

use super::hooks;
use super::store::Store;

const KEY: &str = "language";

/// What the reader chose before, or else the first of the browser's languages that the page speaks.
pub fn chosen() -> &'static Text {
    let remembered = hooks::stored(KEY);
    let wishes = hooks::window().map(|window| window.navigator().languages().to_vec()).unwrap_or_default();
    let wishes: Vec<String> =
        remembered.into_iter().chain(wishes.iter().filter_map(JsValue::as_string)).collect();
    text::preferred(wishes.iter().map(String::as_str))
}

/// Keeps the document's `lang` and title in step.
pub fn follow(store: Store) {
    Effect::new(move |_| {
        let text = store.language.get();
        let Some(document) = hooks::window().and_then(|window| window.document()) else { return };
        document.set_title(&format!("{}: {}", text.name, text.tagline));
        if let Some(root) = document.document_element() {
            let _ = root.set_attribute("lang", text.lang);
        }
    });
}

/// A button for each language but the one that is spoken, named in itself.
#[component]
pub fn LanguageButtons(store: Store) -> impl IntoView {
    let spoken = store.text();
    view! {
        <div class="languages" role="group" aria-label=spoken.language>
            {LANGUAGES
                .into_iter()
                .filter(|text| text.lang != spoken.lang)
                .map(|text| {
                    view! {
                        <button
                            id=format!("language-{}", text.lang)
                            type="button"
                            class="quiet small"
                            lang=text.lang
                            data-testid=format!("language-{}", text.lang)
                            on:click=move |_| {
                                hooks::store(KEY, text.lang);
                                store.language.set(text);
                                // The button that was pressed is gone: the one that leads back takes its place.
                                hooks::focus_soon(format!("language-{}", spoken.lang));
                            }
                        >
                            {text.endonym}
                        </button>
                    }
                })
                .collect_view()}
        </div>
    }
}
