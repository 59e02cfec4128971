//! The live chart: the scene as SVG, points that can be selected by pointer and keyboard, and the legend.

use leptos::prelude::*;
use mixer::Task;
use wasm_bindgen::prelude::*;
use web_sys::{KeyboardEvent, PointerEvent};

use crate::table::{self, Badge};
use crate::text::Text;
use chart::comparison;
use chart::format;
use chart::{Metric, Options, Scene, scene, svg};

use super::hooks;
use super::live::{live, part, truth};
use super::store::Store;

/// Largest distance between pointer and point, in pixels.
const REACH: f64 = 36.0;

/// A selectable point: a measurement, or the length at which a lane dropped out.
#[derive(Debug, Clone, PartialEq)]
struct Spot {
    lane: usize,
    length: u32,
    x: f64,
    y: f64,
    description: String,
}

fn spots(scene: &Scene) -> Vec<Spot> {
    let mut spots: Vec<Spot> = scene
        .lanes
        .iter()
        .flat_map(|lane| {
            let points = lane.points.iter().map(|point| Spot {
                lane: lane.lane,
                length: point.length,
                x: point.x,
                y: point.y,
                description: point.description.clone(),
            });
            let end = lane.dnf.iter().map(|dnf| Spot {
                lane: lane.lane,
                length: dnf.length,
                x: dnf.x,
                y: dnf.y,
                description: dnf.description.clone(),
            });
            points.chain(end)
        })
        .collect();
    // The report's order, independent of the drawing order.
    spots.sort_by_key(|spot| (spot.lane, spot.length));
    spots
}

/// The chart with its views and its legend.
#[component]
pub fn Chart(store: Store) -> impl IntoView {
    let text = store.text();
    let size = RwSignal::new((0.0_f64, 0.0_f64));
    let holder = NodeRef::<leptos::html::Div>::new();
    watch_size(holder, size);

    let scene = Memo::new(move |_| {
        let (width, height) = size.get();
        if width < 40.0 || height < 40.0 {
            return Scene::default();
        }
        let options = Options {
            width,
            height,
            metric: store.view(),
            hidden: store.hidden.get(),
            emphasis: store.emphasis.get(),
        };
        store.shown.with(|report| store.looks.with(|looks| scene(report, looks, &options, text.words)))
    });
    let marks = Memo::new(move |_| scene.with(svg::marks));
    let spots = Memo::new(move |_| scene.with(spots));
    let active = RwSignal::new(None::<(usize, u32)>);
    let tip = RwSignal::new(None::<(usize, u32)>);

    let point_at = move |target: Option<(usize, u32)>| {
        if tip.get_untracked() != target {
            tip.set(target);
            store.emphasis.set(target.map(|(lane, _)| lane));
            store.at_length.set(target.map(|(_, length)| length));
        }
    };
    let pointer = move |event: PointerEvent| {
        let Some(rect) = holder.get_untracked().map(|holder| holder.get_bounding_client_rect()) else {
            return;
        };
        let (x, y) = (f64::from(event.client_x()) - rect.left(), f64::from(event.client_y()) - rect.top());
        let nearest = spots.with_untracked(|spots| {
            spots
                .iter()
                .map(|spot| ((spot.x - x).hypot(spot.y - y), (spot.lane, spot.length)))
                .filter(|(distance, _)| *distance <= REACH)
                .min_by(|a, b| a.0.total_cmp(&b.0))
                .map(|(_, key)| key)
        });
        point_at(nearest);
    };
    let key = move |event: KeyboardEvent| {
        let Some(next) = spots.with_untracked(|spots| step(spots, active.get_untracked(), &event.key()))
        else {
            return;
        };
        event.prevent_default();
        active.set(Some(next));
        focus_spot(next);
    };
    // Only one point is in the page's tab order.
    let tab_stop = Memo::new(move |_| {
        let active = active.get();
        spots.with(|spots| {
            spots
                .iter()
                .map(|spot| (spot.lane, spot.length))
                .find(|key| Some(*key) == active)
                .or_else(|| spots.first().map(|spot| (spot.lane, spot.length)))
        })
    });
    let summary = move || {
        store.shown.with(|report| {
            let lengths = comparison::lengths(report);
            let end =
                |length: Option<&u32>| length.map_or_else(String::new, |l| format::length(f64::from(*l)));
            (text.of(report.config.mode).chart_summary)(
                report.lanes.len(),
                &end(lengths.first()),
                &end(lengths.last()),
            )
        })
    };
    let mode = Memo::new(move |_| store.mode());
    let empty = move || spots.with(Vec::is_empty);
    let many = move || store.shown.with(|report| report.lanes.len() > 8);

    view! {
        <div class="chart-head">
            {part(move || view! { <Views text metric=store.metric name="view" mode=mode.get() views=Metric::views(mode.get()).to_vec()/> })}
        </div>
        <div
            class="chart"
            class:many=live(many)
            data-testid="chart"
            node_ref=holder
            on:pointermove=pointer
            on:pointerdown=pointer
            on:pointerleave=move |_| point_at(None)
        >
            <svg
                translate="no"
                role="group"
                aria-label=live(summary)
                aria-describedby="chart-keys"
                viewBox=live(move || { let (w, h) = size.get(); format!("0 0 {w:.0} {h:.0}") })
                on:keydown=key
            >
                <g aria-hidden="true" inner_html=marks></g>
                <For each=move || spots.get() key=|spot| (spot.lane, spot.length) let:spot>
                    {
                        let id = (spot.lane, spot.length);
                        let now = Memo::new(move |_| {
                            spots.with(|spots| spots.iter().find(|spot| (spot.lane, spot.length) == id).cloned())
                        });
                        view! {
                            <circle
                                class="spot"
                                id=spot_id(id)
                                r="11"
                                cx=live(move || now.with(|s| s.as_ref().map_or(0.0, |s| s.x)).to_string())
                                cy=live(move || now.with(|s| s.as_ref().map_or(0.0, |s| s.y)).to_string())
                                role="img"
                                aria-label=live(move || now.with(|s| s.as_ref().map(|s| s.description.clone()).unwrap_or_default()))
                                tabindex=live(move || if tab_stop.get() == Some(id) { "0" } else { "-1" })
                                on:focus=move |_| { active.set(Some(id)); point_at(Some(id)); }
                                on:blur=move |_| point_at(None)
                            />
                        }
                    }
                </For>
            </svg>
            <Show when=empty>
                <p class="chart-empty">
                    {part(move || match store.view() {
                        Metric::Roofline if store.report.with(Option::is_some) => text.chart_no_roofline,
                        _ => text.chart_empty,
                    })}
                    <Show when=move || scene.with(|scene| !scene.guides.is_empty())><small>{text.chart_sketch}</small></Show>
                </p>
            </Show>
            <Tip store spots tip size/>
        </div>
        <p class="sr-only" id="chart-keys">{text.chart_keys}</p>
        <p class="chart-help">{text.chart_help}</p>
        <Show when=move || store.view() == Metric::Roofline>
            <p class="chart-help" data-testid="roofline-note">{text.chart_roofline}</p>
        </Show>
        <Key store/>
    }
}

fn spot_id((lane, length): (usize, u32)) -> String {
    format!("spot-{lane}-{length}")
}

fn focus_spot(key: (usize, u32)) {
    let element = hooks::window()
        .and_then(|window| window.document())
        .and_then(|document| document.get_element_by_id(&spot_id(key)))
        .and_then(|element| element.dyn_into::<web_sys::SvgElement>().ok());
    if let Some(element) = element {
        let _ = element.focus();
    }
}

/// The point that an arrow key selects.
fn step(spots: &[Spot], from: Option<(usize, u32)>, key: &str) -> Option<(usize, u32)> {
    let here = spots.iter().find(|spot| Some((spot.lane, spot.length)) == from).or(spots.first())?;
    let along = |forward: bool| {
        let mut lane: Vec<_> = spots.iter().filter(|spot| spot.lane == here.lane).collect();
        if !forward {
            lane.reverse();
        }
        lane.into_iter()
            .find(|spot| if forward { spot.length > here.length } else { spot.length < here.length })
            .cloned()
    };
    // Up and down follow the visual order: the next line above or below at this length.
    let across = |up: bool| {
        spots
            .iter()
            .filter(|spot| spot.lane != here.lane && (spot.x - here.x).abs() < 1.0)
            .filter(|spot| if up { spot.y <= here.y } else { spot.y >= here.y })
            .min_by(|a, b| (a.y - here.y).abs().total_cmp(&(b.y - here.y).abs()))
            .cloned()
    };
    let next = match key {
        "ArrowRight" => along(true),
        "ArrowLeft" => along(false),
        "ArrowUp" => across(true),
        "ArrowDown" => across(false),
        "Home" => spots.iter().find(|spot| spot.lane == here.lane).cloned(),
        "End" => spots.iter().rfind(|spot| spot.lane == here.lane).cloned(),
        _ => return None,
    };
    Some(next.map_or((here.lane, here.length), |spot| (spot.lane, spot.length)))
}

/// Follows the size of an element, at most once per frame.
pub fn watch_size(holder: NodeRef<leptos::html::Div>, size: RwSignal<(f64, f64)>) {
    Effect::new(move |_| {
        let Some(element) = holder.get() else { return };
        let target = element.clone();
        let frame = hooks::PerFrame::new(move || {
            let rect = target.get_bounding_client_rect();
            let now = (rect.width().round(), rect.height().round());
            // The observer also fires when the chart and its signal are disposed.
            if size.try_get_untracked().is_some_and(|size| size != now) {
                size.set(now);
            }
        });
        frame.request();
        let callback = Closure::<dyn FnMut(JsValue)>::new(move |_| frame.request());
        if let Ok(observer) = web_sys::ResizeObserver::new(callback.as_ref().unchecked_ref()) {
            observer.observe(&element);
        }
        callback.forget();
    });
}

/// A row of buttons that select a view; their elements' ids begin with `name`.
#[component]
pub fn Views(
    text: &'static Text,
    metric: RwSignal<Metric>,
    name: &'static str,
    mode: Task,
    views: Vec<Metric>,
) -> impl IntoView {
    let all = views.clone();
    let key = move |event: KeyboardEvent| {
        let at = views.iter().position(|view| *view == metric.get_untracked().within(mode)).unwrap_or(0);
        let n = views.len();
        let next = match event.key().as_str() {
            "ArrowRight" => (at + 1) % n,
            "ArrowLeft" => (at + n - 1) % n,
            "Home" => 0,
            "End" => n - 1,
            _ => return,
        };
        event.prevent_default();
        let Some(next) = views.get(next) else { return };
        metric.set(*next);
        if let Some(tab) = hooks::element(&format!("{name}-{}", next.id())) {
            let _ = tab.focus();
        }
    };
    view! {
        <div class="tabs" role="radiogroup" aria-label=text.views on:keydown=key>
            {all
                .into_iter()
                .map(|view| {
                    let chosen = move || metric.get().within(mode) == view;
                    view! {
                        <button
                            type="button"
                            role="radio"
                            id=format!("{name}-{}", view.id())
                            data-testid=format!("{name}-{}", view.id())
                            aria-checked=truth(chosen)
                            tabindex=live(move || if chosen() { "0" } else { "-1" })
                            on:click=move |_| metric.set(view)
                        >
                            {view.label(mode, text.words)}
                        </button>
                    }
                })
                .collect_view()}
        </div>
    }
}

/// Details of the selected point.
#[component]
fn Tip(
    store: Store,
    spots: Memo<Vec<Spot>>,
    tip: RwSignal<Option<(usize, u32)>>,
    size: RwSignal<(f64, f64)>,
) -> impl IntoView {
    let text = store.text();
    let content = move || {
        let (lane, length) = tip.get()?;
        let spot =
            spots.with(|spots| spots.iter().find(|s| (s.lane, s.length) == (lane, length)).cloned())?;
        let metric = store.view();
        store.shown.with(|report| {
            let record = report.lanes.get(lane)?;
            let point = record.points.iter().find(|point| point.length == length)?;
            let look = store.looks.with(|looks| looks.get(lane).cloned())?;
            let mut lines: Vec<(String, String)> = Vec::new();
            let value = if let Some(reading) = metric.reading(point, report) {
                if reading.low < reading.high {
                    lines.push((
                        text.quartiles.to_owned(),
                        format!("{} – {}", metric.format(reading.low), metric.format(reading.high)),
                    ));
                }
                if metric.has_spread()
                    && let Some(versus) =
                        look.baseline.and_then(|baseline| comparison::versus(report, lane, baseline, length))
                {
                    let words = comparison::words(versus, text.words);
                    let interval = comparison::interval(versus, text.words);
                    lines.push((
                        text.versus.to_owned(),
                        interval.map_or_else(|| words.clone(), |interval| format!("{words} {interval}")),
                    ));
                }
                if metric == Metric::Time
                    && let (Some(low), Some(high)) = (point.low_ms, point.high_ms)
                {
                    let interval = format!("{} – {}", format::time(low), format::time(high));
                    lines.push((text.time_interval.to_owned(), interval));
                }
                if point.full_attention {
                    lines.push((String::new(), text.full_attention_note.to_owned()));
                }
                for ((name, _), value) in text.decode.columns.iter().zip(table::decoding(point, report)) {
                    lines.push(((*name).to_owned(), value));
                }
                if let Some(device) = point.device_ms {
                    lines.push((text.device_time.to_owned(), format::time(device)));
                }
                lines.push((String::new(), (text.samples)(point.samples, point.discarded)));
                metric.format(reading.value)
            } else {
                if let Some(predicted) = metric.prediction(point, record, report) {
                    lines.push((text.predicted.to_owned(), metric.format(predicted)));
                }
                if let Some(reason) = comparison::reason(point, text.words) {
                    lines.push((String::new(), reason));
                }
                (text.words.outcome)(&point.outcome).to_owned()
            };
            if let Badge::Fail(_) = table::badge(record) {
                lines.push((String::new(), text.badge_fail.to_owned()));
            }
            if let Some(one_way) = look.one_way {
                lines.push((String::new(), one_way.label(text.words).to_owned()));
            }
            Some((spot, look, length, value, lines))
        })
    };
    part(move || {
        content().map(|(spot, look, length, value, lines)| {
            let (width, _) = size.get();
            let left = spot.x > width * 0.6;
            view! {
                <div
                    class="tip"
                    class:left=left
                    aria-hidden="true"
                    style:left=format!("{:.0}px", spot.x)
                    style:top=format!("{:.0}px", spot.y)
                >
                    <strong class=format!("c{}", look.slot)>{look.label}</strong>
                    <span class="tip-length">{format::length(f64::from(length))}" "{text.of(store.mode()).tokens}</span>
                    <span class="tip-value">{value}</span>
                    {lines
                        .into_iter()
                        .map(|(name, value)| view! { <span class="tip-line"><i>{name}</i>" "{value}</span> })
                        .collect_view()}
                </div>
            }
        })
    })
}

/// The legend.
#[component]
fn Key(store: Store) -> impl IntoView {
    let text = store.text();
    let both = move || {
        store.shown.with(|report| report.lanes.windows(2).any(|pair| pair[0].backend != pair[1].backend))
    };
    let full = move || {
        store.shown.with(|report| {
            report.lanes.iter().flat_map(|lane| &lane.points).any(|point| point.full_attention)
        })
    };
    view! {
        <ul class="key" title=text.chart_help>
            <li>
                <svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true"><path class="key-line" d="M0 6h28"/><path class="key-thin" d="M14 1v10M11.5 1h5M11.5 11h5"/></svg>
                {text.key_line}
            </li>
            <li>
                <svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true"><path class="key-line dashed" d="M0 6h28"/></svg>
                {text.key_dashed}
            </li>
            <li>
                <svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true"><path class="key-band" d="M4 0h20v12h-20z"/><path class="key-thin dotted" d="M14 0v12"/></svg>
                {text.key_band}
            </li>
            <li>
                <svg viewBox="0 0 12 12" width="12" height="12" aria-hidden="true"><path class="key-line" d="M2 2l8 8m0 -8l-8 8"/></svg>
                {text.key_dnf}
            </li>
            <Show when=both>
                <li>
                    <svg viewBox="0 0 28 12" width="28" height="12" aria-hidden="true"><circle class="key-full" cx="7" cy="6" r="4.5"/><circle class="key-hollow" cx="20" cy="6" r="4.5"/></svg>
                    {text.key_fill}
                </li>
            </Show>
            <Show when=full>
                <li>
                    <svg viewBox="0 0 20 16" width="20" height="16" aria-hidden="true"><circle class="key-full" cx="10" cy="8" r="3.5"/><circle class="key-ring" cx="10" cy="8" r="6.5"/></svg>
                    {text.words.key_full}
                </li>
            </Show>
        </ul>
    }
}
