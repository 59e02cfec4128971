//! The help sheet: keyboard shortcuts, and what the time of the next token means.

use leptos::prelude::*;

use super::store::Store;

/// The button that opens the list.
#[component]
pub fn HelpButton(store: Store) -> impl IntoView {
    let text = store.text();
    view! {
        <button
            class="quiet icon help-button"
            type="button"
            data-testid="help"
            title=text.help_title
            aria-label=text.help_title
            aria-keyshortcuts="?"
            on:click=move |_| store.help.set(true)
        >
            <span aria-hidden="true">"?"</span>
        </button>
    }
}

/// The list.
#[component]
pub fn HelpDialog(store: Store) -> impl IntoView {
    let text = store.text();
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    Effect::new(move |_| {
        let open = store.help.get();
        let Some(dialog) = dialog.get() else { return };
        if open && !dialog.open() {
            let _ = dialog.show_modal();
        } else if !open && dialog.open() {
            dialog.close();
        }
    });
    view! {
        <dialog
            node_ref=dialog
            class="system help"
            aria-labelledby="help-title"
            data-testid="help-dialog"
            on:close=move |_| store.help.set(false)
        >
            <div class="dialog-body">
                <header role="none">
                    <h2 id="help-title">{text.help_title}</h2>
                    <button type="button" class="quiet icon" aria-label=text.close on:click=move |_| store.help.set(false)>
                        <svg viewBox="0 0 12 12" width="14" height="14" aria-hidden="true"><path d="M2 2l8 8M10 2l-8 8"/></svg>
                    </button>
                </header>
                <dl class="keys">
                    {text.help_keys.iter().map(|(keys, what)| view! {
                        <div>
                            <dt>{keys.split(' ').map(|key| view! { <kbd>{key}</kbd>" " }).collect_view()}</dt>
                            <dd>{*what}</dd>
                        </div>
                    }).collect_view()}
                </dl>
                <p class="muted">{text.help_note}</p>
                <h3>{text.decode.name.0}</h3>
                {text.about_decode.iter().map(|(title, body)| view! { <p><strong>{*title}</strong>" "{*body}</p> }).collect_view()}
            </div>
        </dialog>
    }
}
