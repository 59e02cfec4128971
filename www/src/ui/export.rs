//! Exports: each format of the result, to save or to copy.

use std::sync::Arc;

use leptos::prelude::*;
use report::Report;

use chart::paper;

use super::hooks;
use super::live::part;
use super::parts;
use super::share::Close;
use super::store::Store;

/// A format of the result.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Png,
    Svg,
    Csv,
    Json,
    Markdown,
    Bibtex,
}

impl Form {
    const ALL: [Self; 6] = [Self::Png, Self::Svg, Self::Csv, Self::Json, Self::Markdown, Self::Bibtex];

    /// The extension of its files, also its name in tests.
    fn ending(self) -> &'static str {
        match self {
            Self::Png => "png",
            Self::Svg => "svg",
            Self::Csv => "csv",
            Self::Json => "json",
            Self::Markdown => "md",
            Self::Bibtex => "bib",
        }
    }

    fn mime(self) -> &'static str {
        match self {
            Self::Png => "image/png",
            Self::Svg => "image/svg+xml",
            Self::Csv => "text/csv;charset=utf-8",
            Self::Json => "application/json",
            Self::Markdown => "text/markdown;charset=utf-8",
            Self::Bibtex => "application/x-bibtex;charset=utf-8",
        }
    }

    fn words(self, store: Store) -> (&'static str, &'static str) {
        let travel = store.text().travel;
        match self {
            Self::Png => travel.export_png,
            Self::Svg => travel.export_svg,
            Self::Csv => travel.export_csv,
            Self::Json => travel.export_json,
            Self::Markdown => travel.export_markdown,
            Self::Bibtex => travel.export_bibtex,
        }
    }

    /// The text; for an image, the drawing that it is made from.
    async fn text(self, store: Store, report: &Report) -> Option<String> {
        Some(match self {
            Self::Png | Self::Svg => store.looks.with_untracked(|looks| {
                let hidden = store.hidden.get_untracked();
                paper::figure_in(report, looks, untrack(|| store.view()), &hidden, store.text().words)
            }),
            Self::Csv => report.to_csv(),
            Self::Json => report.to_json().ok()?,
            Self::Markdown => report.to_markdown(),
            Self::Bibtex => {
                let all = hooks::fetch_text("systems.bib").await?;
                report::bibliography(&all, report.lanes.iter().map(|lane| lane.system.as_str()))
            }
        })
    }
}

/// The export dialog.
#[component]
pub fn ExportDialog(store: Store) -> impl IntoView {
    let text = store.text();
    let travel = text.travel;
    let open = store.shared_runs().exporting;
    let dialog = NodeRef::<leptos::html::Dialog>::new();
    hooks::modal(dialog, open);
    let message = RwSignal::new(String::new());
    view! {
        <dialog node_ref=dialog class="system" aria-labelledby="export-title" data-testid="export-dialog" on:close=move |_| { open.set(false); message.set(String::new()); }>
            <div class="dialog-body">
                <header role="none">
                    <h2 id="export-title">{travel.export_title}</h2>
                    <Close open label=text.close/>
                </header>
                <p class="muted">{travel.export_intro}</p>
                <ul class="exports">
                    {Form::ALL
                        .into_iter()
                        .map(|form| {
                            let (name, what) = form.words(store);
                            view! {
                                <li>
                                    <span><strong>{name}</strong><small>{what}</small></span>
                                    <button
                                        type="button"
                                        class="quiet framed"
                                        data-testid=format!("download-{}", form.ending())
                                        aria-label=(travel.download_of)(name)
                                        on:click=move |_| save(store, form, message)
                                    >{travel.download}</button>
                                    <button
                                        type="button"
                                        class="quiet framed"
                                        data-testid=format!("copy-{}", form.ending())
                                        aria-label=(travel.copy_of)(name)
                                        on:click=move |_| copy(store, form, message)
                                    >{travel.copy}</button>
                                </li>
                            }
                        })
                        .collect_view()}
                </ul>
                <p class="small" role="status" data-testid="export-status">{part(move || message.get())}</p>
                <p class="small"><a href="report.schema.json" target="_blank" rel="noopener">{travel.export_schema}</a></p>
            </div>
        </dialog>
    }
}

fn shown(store: Store) -> Option<Arc<Report>> {
    store.report.get_untracked()
}

fn save(store: Store, form: Form, message: RwSignal<String>) {
    let Some(report) = shown(store) else { return };
    wasm_bindgen_futures::spawn_local(async move {
        let travel = store.text().travel;
        let Some(text) = form.text(store, &report).await else {
            message.set(travel.no_bibliography.to_owned());
            return;
        };
        let name = report.file_name(form.ending());
        let saved = match (parts::files().await, form) {
            (Err(error), _) => Err(error),
            (Ok(files), Form::Png) => files.save_png(&name, &text).await.map(drop),
            // Spreadsheets assume another encoding for a file without a byte-order mark.
            (Ok(files), Form::Csv) => files.save(&name, form.mime(), &format!("\u{feff}{text}")),
            (Ok(files), _) => files.save(&name, form.mime(), &text),
        };
        message.set(match saved {
            Ok(()) => (travel.downloaded)(&name),
            Err(error) => match parts::error_name(&error).as_str() {
                parts::MISSING => travel.part_missing.to_owned(),
                why => (travel.download_failed)(why),
            },
        });
    });
}

fn copy(store: Store, form: Form, message: RwSignal<String>) {
    let Some(report) = shown(store) else { return };
    wasm_bindgen_futures::spawn_local(async move {
        let travel = store.text().travel;
        let Some(text) = form.text(store, &report).await else {
            message.set(travel.no_bibliography.to_owned());
            return;
        };
        let copied = if form == Form::Png {
            match parts::files().await {
                Ok(files) => files.copy_png(&text).await.is_ok(),
                Err(_) => false,
            }
        } else {
            hooks::copy(text).await
        };
        let name = form.words(store).0;
        message.set(if copied { (travel.copied_of)(name) } else { (travel.copy_failed)(name) });
    });
}
