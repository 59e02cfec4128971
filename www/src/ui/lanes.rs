//! The lanes as a race: the growth of each, its progress, and its time at the selected length.

use leptos::prelude::*;

use crate::state::Phase;
use crate::table::Badge;
use crate::text::Text;
use crate::track::{Step, Track, tracks};
use chart::comparison;
use chart::format;
use chart::shapes;

use super::live::{live, part};
use super::store::Store;

/// A lane's marker, as in the chart.
#[component]
pub fn Marker(shape: usize, filled: bool) -> impl IntoView {
    view! {
        <svg class=format!("swatch c{shape}") class:hollow=!filled viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">
            <path class="marker" d=shapes::path(shape, 8.0, 8.0, 5.2)></path>
        </svg>
    }
}

/// L to a power; an empty exponent stands for 1.
#[component]
pub fn Power(exponent: String) -> impl IntoView {
    view! { <span class="power">"L"<sup>{exponent}</sup></span> }
}

fn step_class(step: Step) -> &'static str {
    match step {
        Step::Ahead => "",
        Step::Now => "now",
        Step::Done => "done",
        Step::Out => "out",
    }
}

/// A theoretical exponent; an empty string for 1.
fn plain_power(exponent: f64) -> String {
    if exponent == 1.0 { String::new() } else { exponent.to_string() }
}

/// Result of a lane's verifications.
#[component]
pub fn Verification(badge: Badge, text: &'static Text) -> impl IntoView {
    match badge {
        Badge::Pending => view! { <span class="badge pending" title=text.badge_pending><span class="sr-only">{text.badge_pending}</span></span> }
            .into_any(),
        Badge::Pass(deviation) => view! {
            <span class="badge pass" title=(text.badge_pass_detail)(&deviation)>
                <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path d="M2 6.5l2.8 2.8L10 3.5"/></svg>
                <span class="sr-only">{text.badge_pass}</span>
            </span>
        }
        .into_any(),
        Badge::Fail(deviation) => view! {
            <span class="badge fail" title=(text.badge_fail_detail)(&deviation)>
                <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path d="M3 3l6 6M9 3l-6 6"/></svg>
                <span>{text.badge_fail}</span>
            </span>
        }
        .into_any(),
    }
}

/// All lanes.
#[component]
pub fn Lanes(store: Store) -> impl IntoView {
    let text = store.text();
    let length = Memo::new(move |_| {
        store.at_length.get().or_else(|| {
            store.shown.with(|report| {
                let hidden = store.hidden.get();
                comparison::longest_measured(report, |lane| !hidden.contains(&lane))
            })
        })
    });
    let rows = Memo::new(move |_| {
        let progress = store.progress.get();
        let running = matches!(store.phase.get(), Phase::Running | Phase::Cancelling);
        store.shown.with(|report| {
            store.looks.with(|looks| {
                tracks(report, looks, length.get(), progress.as_ref().filter(|_| running), text)
            })
        })
    });
    let title = move || match length.get() {
        Some(length) => (text.of(store.mode()).lanes_at)(&format::length(f64::from(length))),
        None => text.lanes_before.to_owned(),
    };
    view! {
        <div class="lanes">
            <h3>{text.lanes_title}" "<small>{part(title)}</small></h3>
            <ul>
                <For each=move || 0..rows.with(Vec::len) key=|index| *index let:index>
                    <LaneItem store rows index/>
                </For>
            </ul>
        </div>
    }
}

#[component]
fn LaneItem(store: Store, rows: Memo<Vec<Track>>, index: usize) -> impl IntoView {
    let text = store.text();
    let row = Memo::new(move |_| rows.with(|rows| rows.get(index).cloned()));
    let hidden = move || store.hidden.with(|hidden| hidden.contains(&index));
    let toggle = move |_| {
        store.hidden.update(|hidden| {
            if let Some(at) = hidden.iter().position(|lane| *lane == index) {
                hidden.remove(at);
            } else {
                hidden.push(index);
            }
        });
    };
    let scale = move || row.with(|row| row.as_ref().map_or(0.0, |row| row.share));
    let slot = move || row.with(|row| row.as_ref().map_or(0, |row| row.look.slot));
    view! {
        <li
            class=live(move || format!("lane-row c{}", slot()))
            class:at-work=live(move || row.with(|row| row.as_ref().is_some_and(|row| row.at_work)))
            class:off=live(hidden)
            on:pointerenter=move |_| store.emphasis.set(Some(index))
            on:pointerleave=move |_| store.emphasis.set(None)
        >
            {part(move || {
                row.get().map(|row| {
                    let label = row.look.label.clone();
                    view! {
                        <button
                            type="button"
                            class="lane-name"
                            aria-pressed=live(move || if hidden() { "false" } else { "true" })
                            aria-label=(text.show_lane)(&label)
                            on:click=toggle
                        >
                            <Marker shape=row.look.slot filled=row.look.filled/>
                            <span class="lane-label">{row.look.label.clone()}</span>
                        </button>
                        <span class="lane-tags">
                            <Verification badge=row.badge.clone() text/>
                            {row.look.one_way.map(|one_way| view! { <span class="tag" title=text.one_way_note>{one_way.label(text.words)}</span> })}
                        <button
                            type="button"
                            class="quiet icon small lane-about"
                            aria-label=(text.about_system)(&label)
                            title=(text.about_system)(&label)
                            on:click={
                                let system = row.look.system.clone();
                                move |_| store.system.set(Some(system.clone()))
                            }
                        >
                            <span aria-hidden="true">"i"</span>
                        </button>
                        </span>
                        <span class="lane-growth">
                            {match row.growth.clone() {
                                Some((growth, interval)) => view! { <b title=interval><Power exponent=growth/></b> }.into_any(),
                                None => row.look.theory.map(|theory| view! { <span class="muted">{text.theory}" "<Power exponent=plain_power(theory)/></span> }).into_any(),
                            }}
                        </span>
                        <span class="lane-steps" aria-hidden="true">
                            {row.steps.iter().map(|(length, state)| view! { <i class=step_class(*state) title=format::length(f64::from(*length))></i> }).collect_view()}
                        </span>
                        <span class="lane-time">
                            <b>{row.time.clone()}</b>
                            <small class:ahead=row.ahead>{row.comparison.clone()}</small>
                        </span>
                    }
                })
            })}
            <span class="lane-bar" aria-hidden="true"><i style:transform=live(move || format!("scaleX({:.4})", scale()))></i></span>
        </li>
    }
}
