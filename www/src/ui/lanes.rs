//! The lanes as a race: each with its growth, how far it got, and its time at the length pointed at.

use leptos::prelude::*;

use crate::chart::shapes;
use crate::format;
use crate::lanes::Look;
use crate::standing;
use crate::state::Phase;
use crate::table::{self, Badge};
use crate::text::Text;

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

/// Whether a lane's outputs are right.
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

#[derive(Debug, Clone, PartialEq)]
struct LaneRow {
    index: usize,
    look: Look,
    badge: Badge,
    growth: Option<(String, String)>,
    theory: String,
    steps: Vec<(u32, &'static str)>,
    /// Share of the slowest time at the length shown.
    share: f64,
    time: String,
    standing: String,
    ahead: bool,
    at_work: bool,
}

/// All lanes.
#[component]
pub fn Lanes(store: Store) -> impl IntoView {
    let text = store.text;
    let length = Memo::new(move |_| {
        store.at_length.get().or_else(|| {
            store.shown.with(|report| {
                let hidden = store.hidden.get();
                standing::longest_measured(report, |lane| !hidden.contains(&lane))
            })
        })
    });
    let rows = Memo::new(move |_| rows(store, length.get()));
    let title = move || match length.get() {
        Some(length) => (text.lanes_at)(&format::length(f64::from(length))),
        None => text.lanes_before.to_owned(),
    };
    view! {
        <div class="lanes">
            <h3>{text.lanes_title}" "<small>{title}</small></h3>
            <ul>
                <For each=move || 0..rows.with(Vec::len) key=|index| *index let:index>
                    <LaneItem store rows index/>
                </For>
            </ul>
        </div>
    }
}

#[component]
fn LaneItem(store: Store, rows: Memo<Vec<LaneRow>>, index: usize) -> impl IntoView {
    let text = store.text;
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
            class=move || format!("lane-row c{}", slot())
            class:at-work=move || row.with(|row| row.as_ref().is_some_and(|row| row.at_work))
            class:off=hidden
            on:pointerenter=move |_| store.emphasis.set(Some(index))
            on:pointerleave=move |_| store.emphasis.set(None)
        >
            {move || {
                row.get().map(|row| {
                    let label = row.look.label.clone();
                    view! {
                        <button
                            type="button"
                            class="lane-name"
                            aria-pressed=move || if hidden() { "false" } else { "true" }
                            aria-label=(text.show_lane)(&label)
                            on:click=toggle
                        >
                            <Marker shape=row.look.slot filled=row.look.filled/>
                            <span class="lane-label">{row.look.label.clone()}</span>
                        </button>
                        <span class="lane-tags">
                            <Verification badge=row.badge.clone() text/>
                            {row.look.one_way.map(|one_way| view! { <span class="tag" title=text.one_way_note>{one_way.label(text)}</span> })}
                        </span>
                        <span class="lane-growth">
                            {match row.growth.clone() {
                                Some((growth, interval)) => view! { <b title=interval>{growth}</b> }.into_any(),
                                None => view! { <span class="muted">{row.theory.clone()}</span> }.into_any(),
                            }}
                        </span>
                        <span class="lane-steps" aria-hidden="true">
                            {row.steps.iter().map(|(length, state)| view! { <i class=*state title=format::length(f64::from(*length))></i> }).collect_view()}
                        </span>
                        <span class="lane-time">
                            <b>{row.time.clone()}</b>
                            <small class:ahead=row.ahead>{row.standing.clone()}</small>
                        </span>
                    }
                })
            }}
            <span class="lane-bar" aria-hidden="true"><i style:transform=move || format!("scaleX({:.4})", scale())></i></span>
        </li>
    }
}

fn rows(store: Store, length: Option<u32>) -> Vec<LaneRow> {
    let text = store.text;
    let progress = store.progress.get();
    let running = matches!(store.phase.get(), Phase::Running | Phase::Cancelling);
    store.shown.with(|report| {
        store.looks.with(|looks| {
            store.systems.with(|systems| {
                let lengths = standing::lengths(report);
                let time_of = |index: usize| {
                    let lane = report.lanes.get(index)?;
                    standing::measured(lane, length?)?.median_ms
                };
                let slowest = (0..report.lanes.len()).filter_map(time_of).fold(0.0, f64::max);
                report
                    .lanes
                    .iter()
                    .zip(looks.iter())
                    .enumerate()
                    .map(|(index, (lane, look))| {
                        let here = progress.as_ref().filter(|p| running && p.lane == index);
                        let steps = lengths
                            .iter()
                            .map(|&length| {
                                let point = lane.points.iter().find(|point| point.length == length);
                                let state = match point {
                                    Some(point) if point.median_ms.is_some() => "done",
                                    Some(point) if point.outcome != "ok" => "out",
                                    _ if here.is_some_and(|p| p.length == length) => "now",
                                    _ => "",
                                };
                                (length, state)
                            })
                            .collect();
                        let time = time_of(index);
                        let out = length.and_then(|length| {
                            lane.points
                                .iter()
                                .find(|p| p.length <= length && p.outcome != "ok" && p.median_ms.is_none())
                        });
                        let versus = look
                            .baseline
                            .zip(length)
                            .and_then(|(baseline, length)| standing::versus(report, index, baseline, length));
                        let standing = match versus {
                            Some(versus) => super::table::versus_words(versus, text),
                            None if time.is_some()
                                && lane.system == "attention"
                                && report.lanes.len() > 1 =>
                            {
                                text.baseline.to_owned()
                            }
                            None => String::new(),
                        };
                        let theory = systems
                            .iter()
                            .find(|entry| entry.id == lane.system)
                            .map(|entry| (text.theory)(&format!("L{}", superscript_plain(entry.exponent))))
                            .unwrap_or_default();
                        LaneRow {
                            index,
                            look: look.clone(),
                            badge: table::badge(lane),
                            growth: lane.exponent.map(|exponent| {
                                (
                                    format!("L{}", format::superscript(&format::exponent(exponent.estimate))),
                                    format!(
                                        "{}–{}",
                                        format::exponent(exponent.low),
                                        format::exponent(exponent.high)
                                    ),
                                )
                            }),
                            theory,
                            steps,
                            share: time.map_or(0.0, |time| if slowest > 0.0 { time / slowest } else { 0.0 }),
                            time: match (time, out) {
                                (Some(time), _) => format::time(time),
                                (None, Some(point)) => (text.outcome)(&point.outcome).to_owned(),
                                (None, None) => String::new(),
                            },
                            standing,
                            ahead: versus.is_some_and(|versus| !versus.close && versus.speedup > 1.0),
                            at_work: here.is_some(),
                        }
                    })
                    .collect()
            })
        })
    })
}

fn superscript_plain(exponent: f64) -> String {
    if exponent == 1.0 { String::new() } else { format::superscript(&exponent.to_string()) }
}
