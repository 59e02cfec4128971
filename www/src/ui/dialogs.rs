//! The explanation of how the race measures.

use leptos::prelude::*;

use super::store::Store;

/// The explanation.
#[component]
pub fn About(store: Store) -> impl IntoView {
    let text = store.text();
    view! {
        <section class="about" id="about" aria-labelledby="about-title">
            <h2 id="about-title">{text.about_title}</h2>
            <div class="about-grid">
                {text.about.iter().chain(text.about_decode).map(|(title, body)| view! { <article><h3>{*title}</h3><p>{*body}</p></article> }).collect_view()}
            </div>
            <p class="muted">{text.hidden_note}</p>
        </section>
    }
}
