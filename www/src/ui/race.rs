//! Starts, stops and follows a race.

use leptos::prelude::*;

use crate::presets;
use crate::state::{Phase, Progress};
use chart::format;

use super::hooks;
use super::live::{live, part, truth};
use super::second_module::SecondModule;
use super::store::Store;

/// The ready-made races.
#[component]
pub fn Presets(store: Store) -> impl IntoView {
    let text = store.text();
    let all = Memo::new(move |_| store.systems.with(|systems| presets::presets(systems, text)));
    let no_gpu = move || store.environment.with(|e| e.as_ref().is_some_and(|e| e.gpu.is_none()));
    let current = Memo::new(move |_| {
        let config = store.checked.get().ok()?;
        all.with(|all| all.iter().find(|preset| preset.config == config).map(|preset| preset.id))
    });
    view! {
        <div class="presets" role="group" aria-label=text.presets>
            {part(move || {
                all.get()
                    .into_iter()
                    .map(|preset| {
                        let id = preset.id;
                        let config = preset.config;
                        let out = move || preset.needs_gpu && no_gpu();
                        let title = move || if out() { text.preset_needs_gpu } else { preset.blurb };
                        view! {
                            <button
                                type="button"
                                class="chip"
                                data-testid=format!("preset-{id}")
                                title=live(title)
                                disabled=live(move || store.phase.get() != Phase::Idle || out())
                                aria-pressed=truth(move || current.get() == Some(id))
                                on:click=move |_| store.choose(&config)
                            >
                                {preset.title}
                            </button>
                        }
                    })
                    .collect_view()
            })}
        </div>
    }
}

/// The headline.
#[component]
pub fn Headline(store: Store) -> impl IntoView {
    let text = store.text();
    let headline = Memo::new(move |_| store.headline(!super::shared_runs::is_opened(store)));
    let sentence = move || match (headline.get(), store.phase.get(), store.report.with(Option::is_some)) {
        (Some(headline), ..) => headline.text,
        (None, Phase::Idle, false) => text.headline_idle.to_owned(),
        (None, Phase::Idle, true) => text.headline_nothing.to_owned(),
        (None, ..) => text.headline_racing.to_owned(),
    };
    let detail = move || headline.get().map(|headline| headline.detail).unwrap_or_default();
    view! {
        <div class="headline" data-testid="headline" class:idle=live(move || headline.with(Option::is_none))>
            <h2>{part(sentence)}</h2>
            <p>{part(detail)}</p>
        </div>
    }
}

/// The current activity in words.
pub fn doing(store: Store, progress: &Progress) -> String {
    let text = store.text();
    // An activity of the whole machine, without lane and length.
    if progress.length == 0 {
        return (text.doing)(&progress.activity).to_owned();
    }
    (text.of(store.mode()).activity)(
        (text.doing)(&progress.activity),
        &store.lane_name(progress.lane),
        &format::length(f64::from(progress.length)),
    )
}

/// Whether a click is not the second one of a double click. Start and Cancel replace each other, so the second click
/// would undo the first.
fn is_first(event: &web_sys::MouseEvent) -> bool {
    event.detail() < 2
}

/// Start, cancel, progress.
#[component]
pub fn Controls(store: Store) -> impl IntoView {
    let text = store.text();
    let busy = Memo::new(move |_| store.phase.get() != Phase::Idle);
    // The focus moves from the button that disappears to the one that replaces it. Browsers remove the focus from a
    // hidden element immediately or later, without reporting where it goes, so it counts as inside until another
    // element has it.
    let inside = StoredValue::new(false);
    Effect::new(move |was: Option<bool>| {
        let is = busy.get();
        let here = hooks::focused_within("controls") || (inside.get_value() && !hooks::focused_elsewhere());
        if was.is_some_and(|was| was != is) && here {
            hooks::focus_soon(if is { "cancel" } else { "start" });
        }
        is
    });
    let start_label = move || {
        if store.report.with(Option::is_some) && !store.stale() { text.again } else { text.start }
    };
    let fraction = move || store.progress.with(|p| p.as_ref().map_or(0.0, |p| p.fraction));
    let invalid = move || store.checked.with(Result::is_err);
    let activity = move || match (store.phase.get(), store.progress.get()) {
        (Phase::Idle, _) if invalid() => text.fix_first.to_owned(),
        (Phase::Idle, _) if store.stale() => format!("{} {}", text.new_setup, summary(store)),
        (Phase::Idle, _) => summary(store),
        (Phase::Cancelling, _) => text.cancelling.to_owned(),
        (_, Some(progress)) if progress.activity == "waiting" => text.waiting_turn.to_owned(),
        (_, Some(progress)) => doing(store, &progress),
        (_, None) if !store.ready.get() => text.loading_engine.to_owned(),
        (_, None) => text.starting.to_owned(),
    };
    let left = move || match (store.phase.get(), store.progress.get()) {
        (Phase::Idle, _) => store.checked.with(|checked| {
            checked
                .as_ref()
                .map(|config| (text.at_most)(&format::rough_time(config.budget_ms)))
                .unwrap_or_default()
        }),
        (_, Some(progress)) if progress.activity != "waiting" => {
            (text.time_left)(&format::rough_time(progress.remaining_ms))
        }
        _ => String::new(),
    };
    view! {
        <div class="controls" id="controls" on:focusin=move |_| inside.set_value(true)>
            <button
                type="button"
                id="start"
                class="primary"
                data-testid="start"
                hidden=busy
                aria-disabled=truth(invalid)
                on:click=move |event| {
                    if is_first(&event) {
                        store.start();
                    }
                }
            >
                <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><path d="M3 1.5v13l11-6.5z"/></svg>
                <span>{part(start_label)}</span>
                <kbd aria-hidden="true">{text.space_hint}</kbd>
            </button>
            <button
                type="button"
                id="cancel"
                class="primary stop"
                data-testid="cancel"
                hidden=live(move || !busy.get())
                disabled=live(move || store.phase.get() == Phase::Cancelling)
                on:click=move |event| {
                    if is_first(&event) {
                        store.cancel();
                    }
                }
            >
                <svg viewBox="0 0 16 16" width="14" height="14" aria-hidden="true"><path d="M2.5 2.5h11v11h-11z"/></svg>
                <span>{text.cancel}</span>
                <kbd aria-hidden="true">{text.esc_hint}</kbd>
            </button>
            <div class="progress" data-testid="progress">
                <div class="progress-words">
                    <span class="activity">{part(activity)}</span>
                    <span class="left">{part(left)}</span>
                </div>
                <div
                    class="bar"
                    class:busy=busy
                    class:waiting=live(move || busy.get() && store.progress.with(Option::is_none))
                    role="progressbar"
                    aria-label=text.progress_label
                    aria-valuemin="0"
                    aria-valuemax="100"
                    aria-valuenow=live(move || format!("{:.0}", fraction() * 100.0))
                >
                    <div class="fill" style:transform=live(move || format!("scaleX({:.4})", fraction()))></div>
                </div>
                <p class="progress-note" class:warned=live(move || store.was_hidden.get())>
                    {part(move || match (busy.get(), store.was_hidden.get()) {
                        (_, true) => text.was_hidden,
                        (true, false) => text.keep_visible,
                        (false, false) => "",
                    })}
                </p>
            </div>
        </div>
    }
}

fn summary(store: Store) -> String {
    let text = store.text();
    store.checked.with(|checked| {
        checked.as_ref().map_or_else(
            |_| String::new(),
            |config| {
                let ends = config.lengths.iter().min().zip(config.lengths.iter().max());
                let lengths = ends.map_or_else(String::new, |(low, high)| {
                    format!("{}–{}", format::length(f64::from(*low)), format::length(f64::from(*high)))
                });
                let level = match config.level {
                    report::LevelName::Core => text.words.level_core,
                    report::LevelName::Layer => text.words.level_layer,
                };
                (text.of(config.mode).summary)(
                    config.systems.len(),
                    &lengths,
                    config.width,
                    &level.to_ascii_lowercase(),
                )
            },
        )
    })
}

/// Whether a newer build of the site is waiting, as reported by `offline.js`. Frames in other pages have no service
/// worker.
#[derive(Clone, Copy)]
pub struct NewerBuild(pub RwSignal<bool>);

/// Errors and warnings.
#[component]
pub fn Notices(store: Store) -> impl IntoView {
    let text = store.text();
    let newer = use_context::<NewerBuild>();
    let copied = RwSignal::new(false);
    let copy = move |_| {
        let details = store.problem.with_untracked(|problem| {
            problem
                .as_ref()
                .map(|problem| format!("{}: {}", problem.code, problem.message))
                .unwrap_or_default()
        });
        wasm_bindgen_futures::spawn_local(async move {
            if hooks::copy(details).await {
                copied.set(true);
                hooks::after(2_000, move || copied.set(false));
            }
        });
    };
    view! {
        <Show when=move || newer.is_some_and(|NewerBuild(there)| there.get())>
            <div class="notice" role="status" data-testid="update">
                <p>{text.update_ready}</p>
                <button
                    type="button"
                    class="quiet"
                    data-testid="update-apply"
                    disabled=live(move || store.phase.get() != Phase::Idle)
                    on:click=|_| hooks::announce("crossover-update-apply", &[])
                >
                    {text.update_apply}
                </button>
            </div>
        </Show>
        <Show when=move || matches!(store.second_module.get(), SecondModule::Failed)>
            <div class="notice warn" role="alert" data-testid="rest-failed">
                <p>
                    {part(move || if store.rescued.get().gone { text.rest_gone } else { text.rest_failed })}
                    " "
                    {part(move || store.rescued.get().race.map(|kept| if kept { text.race_kept } else { text.race_lost }))}
                </p>
                <div class="notice-actions">
                    <button type="button" class="quiet" data-testid="rest-retry" on:click=move |_| store.load_rest()>{text.retry}</button>
                    <button type="button" class="quiet" data-testid="rest-reload" on:click=move |_| store.reload()>{text.reload}</button>
                </div>
            </div>
        </Show>
        <Show when=move || store.unspoken.with(Option::is_some)>
            <div class="notice warn" role="alert" data-testid="language-failed">
                <p>{part(move || store.unspoken.get().map(|language| (text.language_failed)(language.endonym())))}</p>
                <button
                    type="button"
                    class="quiet"
                    data-testid="language-retry"
                    on:click=move |_| if let Some(language) = store.unspoken.get_untracked() { store.speak(language) }
                >
                    {text.retry}
                </button>
            </div>
        </Show>
        <Show when=move || store.bad_link.with(Option::is_some)>
            <div class="notice warn" role="alert" data-testid="link-error">
                <p><strong>{text.bad_link_title}</strong>" "{part(move || store.bad_link.get().map(|told| text.told(&told)))}</p>
                <button type="button" class="quiet" on:click=move |_| store.bad_link.set(None)>{text.dismiss}</button>
            </div>
        </Show>
        <Show when=move || store.problem.with(Option::is_some)>
            <div class="notice bad" role="alert" data-testid="error">
                <p>
                    <strong>{text.problem_title}</strong>
                    " "
                    <span>{part(move || store.problem.get().map(|problem| text.explain(&problem.code, &problem.args, &problem.message)))}</span>
                    " "
                    <code>{part(move || store.problem.get().map(|problem| problem.code))}</code>
                </p>
                <div class="notice-actions">
                    <button type="button" class="quiet" on:click=copy>
                        {part(move || if copied.get() { text.copied } else { text.copy_error })}
                    </button>
                    <button type="button" class="quiet" on:click=move |_| store.restart_engine()>{text.restart_engine}</button>
                    <Show when=move || store.problem.with(|problem| problem.as_ref().is_some_and(|problem| matches!(problem.code.as_str(), "worker-load-failed" | "build-gone")))>
                        <button type="button" class="quiet" data-testid="error-reload" on:click=move |_| store.reload()>{text.reload}</button>
                    </Show>
                    <button type="button" class="quiet" on:click=move |_| store.dismiss()>{text.dismiss}</button>
                </div>
            </div>
        </Show>
    }
}
