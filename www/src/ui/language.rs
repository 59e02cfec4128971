//! The language: the browser's at first, then the reader's choice, which is stored.

use leptos::prelude::*;
use wasm_bindgen::JsValue;
use wasm_split_helpers::SplitLoaderError;
#[cfg(not(no_split))]
use wasm_split_helpers::wasm_split;

use crate::text::{self, CHINESE, ENGLISH, Language, Text};

use super::hooks;
use super::store::Store;

const KEY: &str = "language";

/// The reader's stored choice, or the first of the browser's languages that the page has.
pub fn chosen() -> Language {
    let remembered = hooks::stored(KEY);
    let wishes = hooks::window().map(|window| window.navigator().languages().to_vec()).unwrap_or_default();
    let wishes: Vec<String> =
        remembered.into_iter().chain(wishes.iter().filter_map(JsValue::as_string)).collect();
    text::preferred(wishes.iter().map(String::as_str))
}

/// The messages of a language.
///
/// # Errors
/// Where they could not be loaded. A further call tries again.
pub async fn text(language: Language) -> Result<&'static Text, SplitLoaderError> {
    match language {
        Language::English => Ok(&ENGLISH),
        Language::Chinese => chinese().await,
    }
}

#[cfg(not(no_split))]
#[allow(clippy::unnecessary_wraps, reason = "the loader fails in the caller's module")]
#[wasm_split(chinese, fallible)]
fn chinese() -> Result<&'static Text, SplitLoaderError> {
    Ok(&CHINESE)
}

/// In a module that was not split nothing has to be loaded.
#[cfg(no_split)]
async fn chinese() -> Result<&'static Text, SplitLoaderError> {
    Ok(&CHINESE)
}

/// Updates the document's `lang` and title.
pub fn follow(store: Store) {
    Effect::new(move |_| {
        let text = store.language.get();
        let Some(document) = hooks::window().and_then(|window| window.document()) else { return };
        document.set_title(&format!("{}: {}", text.words.name, text.tagline));
        if let Some(root) = document.document_element() {
            let _ = root.set_attribute("lang", text.words.lang);
        }
    });
}

/// A button for each language except the current one, labelled in that language.
#[component]
pub fn LanguageButtons(store: Store) -> impl IntoView {
    let spoken = store.text();
    view! {
        <div class="languages" role="group" aria-label=spoken.language>
            {Language::ALL
                .into_iter()
                .filter(|language| language.lang() != spoken.words.lang)
                .map(|language| {
                    let lang = language.lang();
                    view! {
                        <button
                            id=format!("language-{lang}")
                            type="button"
                            class="quiet small"
                            lang=lang
                            data-testid=format!("language-{lang}")
                            on:click=move |_| {
                                hooks::store(KEY, lang);
                                store.speak(language);
                            }
                        >
                            {language.endonym()}
                        </button>
                    }
                })
                .collect_view()}
        </div>
    }
}
