//! The results table.

use leptos::prelude::*;

use crate::table::{Cell, rows};
use crate::text::Text;
use chart::comparison;
use chart::format;

use super::lanes::{Marker, Power, Verification};
use super::live::part;
use super::store::Store;

/// A row per lane and a column per length.
#[component]
pub fn Results(store: Store) -> impl IntoView {
    let text = store.text();
    let lengths = Memo::new(move |_| store.shown.with(|report| comparison::lengths(report)));
    let mode = Memo::new(move |_| store.mode());
    let table = Memo::new(move |_| {
        store.shown.with(|report| store.looks.with(|looks| rows(report, looks, store.view(), text)))
    });
    let warnings = move || {
        store.shown.with(|report| {
            report
                .warnings
                .iter()
                .map(|warning| {
                    let lane = warning
                        .lane
                        .map(|lane| store.lane_name(lane as usize))
                        .filter(|name| !name.is_empty());
                    match lane {
                        Some(lane) => format!("{lane}: {}", text.warning(warning)),
                        None => text.warning(warning),
                    }
                })
                .collect::<Vec<_>>()
        })
    };
    view! {
        <section class="card results" id="results" aria-labelledby="results-title">
            <h2 id="results-title">{text.results_title}</h2>
            <p class="muted">{part(move || {
                let (view, mode) = (store.view(), mode.get());
                let name = view.label(mode, text.words);
                // Quantities without samples have neither quartiles nor ratios.
                if view.has_spread() { (text.of(mode).results_caption)(name) } else { view.axis(mode, text.words).to_owned() }
            })}</p>
            {part(move || {
                let warnings = warnings();
                (!warnings.is_empty()).then(|| {
                    view! {
                        <div class="notice warn" data-testid="warnings">
                            <strong>{text.warnings_title}</strong>
                            <ul>{warnings.into_iter().map(|warning| view! { <li>{warning}</li> }).collect_view()}</ul>
                        </div>
                    }
                })
            })}
            <div class="scroll" tabindex="0" role="group" aria-labelledby="results-title">
                <table data-testid="results-table">
                    <thead>
                        <tr>
                            <th scope="col">{text.col_lane}</th>
                            {part(move || lengths.get().into_iter().map(|length| view! { <th scope="col" class="num">{format::length(f64::from(length))}</th> }).collect_view())}
                            {part(move || {
                                let mode = text.of(mode.get());
                                [(text.col_growth, mode.growth_help)].iter().chain(mode.columns)
                                    .map(|(name, help)| view! { <th scope="col" class="num" title=*help>{*name}</th> })
                                    .collect_view()
                            })}
                        </tr>
                    </thead>
                    <tbody>
                        <For each=move || 0..table.with(Vec::len) key=|index| *index let:index>
                            <ResultRow store table index/>
                        </For>
                    </tbody>
                </table>
            </div>
            <p class="muted note">{part(move || text.of(mode.get()).columns_note)}</p>
        </section>
    }
}

#[component]
fn ResultRow(store: Store, table: Memo<Vec<crate::table::Row>>, index: usize) -> impl IntoView {
    let text = store.text();
    let row = Memo::new(move |_| table.with(|table| table.get(index).cloned()));
    let look = Memo::new(move |_| store.looks.with(|looks| looks.get(index).cloned()));
    view! {
        <tr>
            <th scope="row">
                {part(move || {
                    look.get().map(|look| {
                        view! {
                            <span class="lane-cell">
                                <Marker shape=look.slot filled=look.filled/>
                                <span>
                                    {look.label}
                                    {look.one_way.map(|one_way| view! { <small class="tag">{one_way.label(text.words)}</small> })}
                                </span>
                                {row.get().map(|row| view! { <Verification badge=row.badge text/> })}
                            </span>
                        }
                    })
                })}
            </th>
            {part(move || row.get().map(|row| row.cells.into_iter().map(|cell| cell_view(cell, text)).collect_view()))}
            <td class="num">
                {part(move || row.get().and_then(|row| row.exponent).map(|(growth, interval)| view! { <b><Power exponent=growth/></b><small>{interval}</small> }))}
            </td>
            {part(move || row.get().map(|row| row.columns.into_iter().map(|value| view! { <td class="num">{value}</td> }).collect_view()))}
        </tr>
    }
}

fn cell_view(cell: Cell, text: &'static Text) -> AnyView {
    match cell {
        Cell::Pending => view! { <td class="num pending">{format::NONE}</td> }.into_any(),
        Cell::Value { value, spread, versus, full_attention, samples } => {
            let ahead = versus.is_some_and(comparison::is_ahead);
            view! {
                <td class="num" title=(text.samples)(samples.0, samples.1)>
                    <b>{value}</b>
                    <small>{spread}</small>
                    {versus.map(|versus| view! {
                        <small class="versus" class:ahead=ahead title=comparison::interval(versus, text.words)>{comparison::words(versus, text.words)}</small>
                    })}
                    {full_attention.then(|| view! { <small class="tag" title=text.full_attention_note>{text.full_attention}</small> })}
                </td>
            }
            .into_any()
        }
        Cell::Dnf { reason, message, predicted, needs } => {
            let said = (!message.is_empty()).then(|| message.clone());
            view! {
                <td class="num out" title=message>
                    <b>{reason}</b>
                    {predicted.map(|value| view! { <small>{(text.would_take)(&value)}</small> })}
                    {needs.map(|needs| view! { <small>{needs}</small> })}
                    {said.map(|message| view! { <span class="sr-only">{message}</span> })}
                </td>
            }
            .into_any()
        }
    }
}
