//! The dialog with the HTML of an embedded race, and the race itself as a preview.

use leptos::prelude::*;
use report::{encode_config_link, encode_link};

use crate::embed::{Snippet, attributes};
use crate::state::Phase;

use super::hooks;
use super::live::{live, part};
use super::store::Store;

/// The button that opens the dialog.
#[component]
pub fn EmbedButton(store: Store) -> impl IntoView {
    let text = store.text();
    let disabled = move || store.phase.get() != Phase::Idle || store.checked.with(Result::is_err);
    view! {
        <button type="button" class="quiet framed" data-testid="embed-open" disabled=live(disabled) on:click=move |_| store.shared_runs().embedding.set(true)>
            {text.embed_title}"…"
        </button>
    }
}

/// The element that holds the HTML.
const CODE: &str = "embed-code";

/// The reader's choices in the dialog.
#[derive(Clone, Copy)]
struct Choices {
    recorded: RwSignal<bool>,
    autoplay: RwSignal<bool>,
    theme: RwSignal<&'static str>,
}

/// The dialog.
#[component]
pub fn EmbedDialog(store: Store) -> impl IntoView {
    let text = store.text();
    let open = store.shared_runs().embedding;
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    Effect::new(move |_| {
        let wanted = open.get();
        let Some(dialog) = dialog.get() else { return };
        if wanted && !dialog.open() {
            let _ = dialog.show_modal();
        } else if !wanted && dialog.open() {
            dialog.close();
        }
    });
    view! {
        <dialog
            node_ref=dialog
            class="system embed-dialog"
            aria-labelledby="embed-title"
            data-testid="embed-dialog"
            on:close=move |_| open.set(false)
        >
            <div class="dialog-body">
                <header role="none">
                    <h2 id="embed-title">{text.embed_title}</h2>
                    <button type="button" class="quiet icon" aria-label=text.close on:click=move |_| open.set(false)>
                        <svg viewBox="0 0 12 12" width="14" height="14" aria-hidden="true"><path d="M2 2l8 8M10 2l-8 8"/></svg>
                    </button>
                </header>
                {part(move || open.get().then(|| view! { <Content store/> }))}
            </div>
        </dialog>
    }
}

#[component]
fn Content(store: Store) -> impl IntoView {
    let text = store.text();
    let has_result = store.report.with_untracked(Option::is_some) && !untrack(|| store.stale());
    let choices = Choices {
        recorded: RwSignal::new(has_result),
        autoplay: RwSignal::new(false),
        theme: RwSignal::new("auto"),
    };
    let message = RwSignal::new("");
    let html = Memo::new(move |_| snippet(store, choices).unwrap_or_default());
    let copy = move |_| {
        let html = html.get_untracked();
        wasm_bindgen_futures::spawn_local(async move {
            let copied = hooks::copy_or_select(html, CODE).await;
            let _ = message.try_set(if copied { text.copied } else { text.travel.copy_denied });
        });
    };
    let themes = [("auto", text.theme_auto), ("light", text.theme_light), ("dark", text.theme_dark)];
    view! {
        <p class="lead">{text.embed_intro}</p>
        <div class="embed-choices">
            <label hidden=!has_result>
                {text.embed_what}
                <select
                    data-testid="embed-what"
                    on:change=move |event| choices.recorded.set(event_target_value(&event) == "recorded")
                >
                    <option value="recorded" selected=has_result>{text.embed_recorded}</option>
                    <option value="live" selected=!has_result>{text.embed_live}</option>
                </select>
            </label>
            <label>
                {text.theme}
                <select
                    data-testid="embed-theme"
                    on:change=move |event| {
                        let chosen = event_target_value(&event);
                        choices.theme.set(themes.iter().map(|(name, _)| *name).find(|name| *name == chosen).unwrap_or("auto"));
                    }
                >
                    {themes.map(|(name, label)| view! { <option value=name>{label}</option> }).collect_view()}
                </select>
            </label>
            <label class="check">
                <input type="checkbox" data-testid="embed-autoplay" on:change=move |event| choices.autoplay.set(event_target_checked(&event))/>
                {text.embed_autoplay}
            </label>
        </div>
        <label class="embed-code">
            {text.embed_code}
            <textarea id=CODE readonly rows="6" spellcheck="false" data-testid="embed-code" prop:value=live(move || html.get())></textarea>
        </label>
        <button type="button" class="chip" data-testid="embed-copy" on:click=copy>{text.embed_copy}</button>
        <p class="small" role="status" data-testid="embed-status">{part(move || message.get())}</p>
        <h3>{text.embed_preview}</h3>
        // The snippet's element, parsed by the browser from the very text that is copied.
        <div class="embed-preview" data-testid="embed-preview" inner_html=live(move || preview(&html.get()))></div>
    }
}

/// The element alone, since this page has loaded its script.
fn preview(html: &str) -> String {
    html.split_once("</script>").map(|(_, element)| element.to_owned()).unwrap_or_default()
}

fn snippet(store: Store, choices: Choices) -> Option<String> {
    let config = store.checked.get().ok()?;
    let (report, title) = (store.report.get(), store.looks.get());
    let names: Vec<String> = title.iter().map(|look| look.label.clone()).collect();
    let shown = report.filter(|_| choices.recorded.get());
    let link = shown.as_ref().and_then(|report| encode_link(report).ok());
    let plain = encode_config_link(&config).ok()?;
    let mut list = match &link {
        Some(link) => vec![("report", link.trim_start_matches("#r=").to_owned())],
        // A lane with parameters of its own requires a link.
        None => attributes(&config)
            .unwrap_or_else(|| vec![("report", plain.trim_start_matches("#r=").to_owned())]),
    };
    if choices.theme.get() != "auto" {
        list.push(("theme", choices.theme.get().to_owned()));
    }
    if choices.autoplay.get() {
        list.push(("autoplay", "visible".to_owned()));
    }
    let site = hooks::site()?;
    let fragment = link.as_deref().unwrap_or(&plain);
    let title = format!("{}: {}", store.text().words.name, names.join(", "));
    Some(Snippet { site: &site, attributes: list, fragment, title: &title }.html())
}
