//! The page's state as signals, updated by the user and by events of the engine, at most once per frame.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use leptos::prelude::*;
use mixer::Task;
use protocol::{Event, Request};
use report::{Config, Environment, ReasonArg, Report, SystemEntry};

use crate::draft::{Draft, Errors};
use crate::preview;
use crate::state::{Model, Phase, Problem, Progress};
use crate::text::{Language, Text, Told};
use chart::Metric;
use chart::headline::Headline;
use chart::lanes::{self, Look};

use super::client::Client;
use super::hooks::{self, PerFrame, WakeLock};
use super::language;
use super::second_module::{self, Parts, SecondModule};
use super::shared_runs::SharedRuns;

/// State and actions for all components. Cheap to copy.
#[derive(Clone, Copy)]
pub struct Store {
    /// The current language. The page is rebuilt when it changes.
    pub language: RwSignal<&'static Text>,
    /// The language that could not be loaded.
    pub unspoken: RwSignal<Option<Language>>,
    /// The machine, once the engine is ready.
    pub environment: RwSignal<Option<Environment>>,
    /// The systems.
    pub systems: RwSignal<Vec<SystemEntry>>,
    /// Whether the engine is ready.
    pub ready: RwSignal<bool>,
    /// Phase of the current race.
    pub phase: RwSignal<Phase>,
    /// The last report.
    pub report: RwSignal<Option<Arc<Report>>>,
    /// The last progress.
    pub progress: RwSignal<Option<Progress>>,
    /// The last error.
    pub problem: RwSignal<Option<Problem>>,
    /// The error of the link with which the page was opened.
    pub bad_link: RwSignal<Option<Told>>,
    /// The configuration being edited.
    pub draft: RwSignal<Draft>,
    /// The draft as a configuration, or the errors of its fields.
    pub checked: Memo<Result<Config, Errors>>,
    /// The report in charts and tables: the last one, or a preview of the configured race.
    pub shown: Memo<Arc<Report>>,
    /// Looks of the shown report's lanes.
    pub looks: Memo<Arc<Vec<Look>>>,
    /// The configuration of the shown race.
    pub raced: RwSignal<Option<Config>>,
    /// The selected view, which the shown race may lack; [`Store::view`] is the one that it has.
    pub metric: RwSignal<Metric>,
    /// Lanes hidden in the chart.
    pub hidden: RwSignal<Vec<usize>>,
    /// The highlighted lane.
    pub emphasis: RwSignal<Option<usize>>,
    /// The selected length.
    pub at_length: RwSignal<Option<u32>>,
    /// The system whose page is open.
    pub system: RwSignal<Option<String>>,
    /// Whether the list of keyboard shortcuts is open.
    pub help: RwSignal<bool>,
    /// Whether the tab was hidden while this race ran.
    pub was_hidden: RwSignal<bool>,
    /// The last announcement to screen readers.
    pub said: RwSignal<String>,
    /// The second module.
    pub second_module: RwSignal<SecondModule>,
    /// While the second module is missing: the reason, and whether the race is stored.
    pub rescued: RwSignal<Rescued>,
    /// Whether the reader asked for a reload.
    pub leaving: RwSignal<bool>,
    inner: StoredValue<Inner, LocalStorage>,
}

/// State reported by `rescue.js` while the second module is missing.
#[derive(Clone, Copy, Default, PartialEq)]
pub struct Rescued {
    /// Whether the server has a newer build, so that this page's files are gone.
    pub gone: bool,
    /// Whether the race was stored among the past runs; `None` without measurements.
    pub race: Option<bool>,
}

struct Inner {
    model: Rc<RefCell<Model>>,
    client: Option<Client>,
    wake: WakeLock,
    shared_runs: SharedRuns,
    /// Owner of the second module's signals and effects.
    owner: Option<Owner>,
    /// Work that waits for the second module.
    waiting: Vec<Box<dyn FnOnce(&'static Parts)>>,
}

impl Store {
    /// Creates the state in a language and connects to the engine.
    pub fn new(text: &'static Text) -> Self {
        let language = RwSignal::new(text);
        let environment = RwSignal::new(None::<Environment>);
        let systems = RwSignal::new(Vec::<SystemEntry>::new());
        let report = RwSignal::new(None::<Arc<Report>>);
        let draft = RwSignal::new(Draft::new(&Config::default()));
        let checked = Memo::new(move |_| {
            draft.with(|draft| systems.with(|systems| draft.check(systems, language.get())))
        });
        let second_module = RwSignal::new(SecondModule::Waiting);
        let last_good = StoredValue::new(Config::default());
        let shown = Memo::new_with_compare(
            move |_| {
                if let Some(report) = report.get() {
                    return as_shared(report, second_module.get());
                }
                if let Ok(config) = checked.get() {
                    last_good.set_value(config);
                }
                let config = last_good.get_value();
                Arc::new(environment.with(|environment| {
                    systems.with(|systems| preview::report(&config, environment.as_ref(), systems))
                }))
            },
            |old: Option<&Arc<Report>>, new| !old.zip(new).is_some_and(|(old, new)| Arc::ptr_eq(old, new)),
        );
        let looks =
            Memo::new(move |_| {
                Arc::new(shown.with(|report| {
                    systems.with(|systems| lanes::looks(report, systems, language.get().words))
                }))
            });
        let store = Self {
            language,
            unspoken: RwSignal::new(None),
            environment,
            systems,
            ready: RwSignal::new(false),
            phase: RwSignal::new(Phase::Idle),
            report,
            progress: RwSignal::new(None),
            problem: RwSignal::new(None),
            bad_link: RwSignal::new(None),
            draft,
            checked,
            shown,
            looks,
            raced: RwSignal::new(None),
            metric: RwSignal::new(Metric::Time),
            hidden: RwSignal::new(Vec::new()),
            emphasis: RwSignal::new(None),
            at_length: RwSignal::new(None),
            system: RwSignal::new(None),
            help: RwSignal::new(false),
            was_hidden: RwSignal::new(false),
            said: RwSignal::new(String::new()),
            second_module,
            rescued: RwSignal::new(Rescued::default()),
            leaving: RwSignal::new(false),
            inner: StoredValue::new_local(Inner {
                model: Rc::new(RefCell::new(Model::default())),
                client: None,
                wake: WakeLock::default(),
                shared_runs: SharedRuns::new(),
                owner: Owner::current(),
                waiting: Vec::new(),
            }),
        };
        store.connect();
        store.load_catalogue();
        store
    }

    /// The texts of the current language. Views need not track it, since they are rebuilt when it changes.
    pub fn text(self) -> &'static Text {
        self.language.get_untracked()
    }

    /// Switches to another language.
    pub fn speak(self, language: Language) {
        wasm_bindgen_futures::spawn_local(async move {
            match language::text(language).await {
                Ok(text) => {
                    let before = self.text().words.lang;
                    self.unspoken.set(None);
                    self.language.set(text);
                    // The pressed button is gone, so the focus moves to the button that switches back.
                    hooks::focus_soon(format!("language-{before}"));
                }
                Err(_) => self.unspoken.set(Some(language)),
            }
        });
    }

    /// State of sharing, comparison and past runs.
    pub fn shared_runs(self) -> SharedRuns {
        self.inner.with_value(|inner| inner.shared_runs)
    }

    /// Loads the second module.
    pub fn load_rest(self) {
        self.second_module.set(SecondModule::Waiting);
        wasm_bindgen_futures::spawn_local(async move {
            match second_module::load().await {
                Ok(rest) => self.take_rest(rest),
                Err(_) => {
                    self.second_module.set(SecondModule::Failed);
                    hooks::announce("crossover-part-missing", &[]);
                }
            }
        });
    }

    /// Initialises the second module.
    pub fn take_rest(self, rest: &'static Parts) {
        match self.inner.with_value(|inner| inner.owner.clone()) {
            Some(owner) => owner.with(|| (rest.begin)(self)),
            None => (rest.begin)(self),
        }
        self.second_module.set(SecondModule::Here(rest));
        hooks::announce("crossover-part-here", &[]);
        let waiting = self.inner.try_update_value(|inner| std::mem::take(&mut inner.waiting));
        for work in waiting.unwrap_or_default() {
            work(rest);
        }
    }

    /// Runs `work` with the second module, once it is loaded.
    pub fn with_rest(self, work: impl FnOnce(&'static Parts) + 'static) {
        match self.second_module.get_untracked() {
            SecondModule::Here(rest) => work(rest),
            SecondModule::Waiting | SecondModule::Failed => {
                self.inner.update_value(|inner| inner.waiting.push(Box::new(work)));
            }
        }
    }

    fn connect(self) {
        let model = self.inner.with_value(|inner| Rc::clone(&inner.model));
        let frame = PerFrame::new(move || self.flush());
        let connected = Client::connect(move |json: String| {
            let (model, frame) = (Rc::clone(&model), frame.clone());
            self.with_rest(move |rest| {
                if let Ok(mut model) = model.try_borrow_mut() {
                    model.apply((rest.event)(&json));
                }
                frame.request();
            });
        });
        match connected {
            Ok(client) => self.inner.update_value(|inner| inner.client = Some(client)),
            Err(message) => self.problem.set(Some(Problem {
                code: "client-missing".to_owned(),
                args: [("reason".to_owned(), ReasonArg::Text(message.clone()))].into(),
                message: format!("crossover.js could not be used: {message}. Reload the page."),
                field: None,
            })),
        }
    }

    /// The static catalogue makes the page usable before the engine is ready, and is in the reader's language.
    fn load_catalogue(self) {
        Effect::new(move |_| {
            let text = self.language.get();
            let address = if text.tag() == "en" {
                "systems.json".to_owned()
            } else {
                format!("systems.{}.json", text.tag())
            };
            wasm_bindgen_futures::spawn_local(async move {
                let Some(json) = hooks::fetch_text(&address).await else { return };
                self.with_rest(move |rest| {
                    let Some(systems) = (rest.catalogue)(&json) else { return };
                    // The reader may have switched the language again.
                    if self.text().words.lang == text.words.lang {
                        self.with_model(|model| model.systems = systems);
                        self.flush();
                    }
                });
            });
        });
    }

    fn with_model<T>(self, change: impl FnOnce(&mut Model) -> T) -> Option<T> {
        let model = self.inner.with_value(|inner| Rc::clone(&inner.model));
        model.try_borrow_mut().ok().map(|mut model| change(&mut model))
    }

    /// Updates the signals from the model. Only changed signals notify their readers.
    fn flush(self) {
        let Some(model) = self.with_model(|model| model.clone()) else { return };
        let was = self.phase.get_untracked();
        set_if_new(self.environment, model.environment);
        set_if_new(self.systems, model.systems);
        set_if_new(self.ready, model.ready);
        set_if_new(self.progress, model.progress);
        set_if_new(self.problem, model.problem);
        let same = self.report.with_untracked(|old| match (old, &model.report) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new),
            (None, None) => true,
            _ => false,
        });
        if !same {
            self.report.set(model.report);
        }
        if was != model.phase {
            self.phase.set(model.phase);
            self.phase_changed(was, model.phase);
        }
    }

    fn phase_changed(self, was: Phase, is: Phase) {
        match (was, is) {
            (Phase::Idle, _) => {
                self.inner.with_value(|inner| inner.wake.hold());
                self.said.set(self.text().announce_start.to_owned());
            }
            (_, Phase::Idle) => {
                self.inner.with_value(|inner| inner.wake.release());
                let cancelled = self.report.with_untracked(|report| {
                    report.as_ref().is_none_or(|r| r.status == report::Status::Cancelled)
                });
                let headline = self.headline_untracked();
                let state =
                    if cancelled { self.text().announce_cancelled } else { self.text().announce_done };
                self.said.set(format!("{state} {headline}"));
                if let Some(report) = self.report.get_untracked() {
                    self.with_rest(move |rest| (rest.race_ended)(self, &report));
                }
            }
            _ => {}
        }
    }

    fn headline_untracked(self) -> String {
        untrack(|| self.headline(true))
            .map(|headline| format!("{} {}", headline.text, headline.detail))
            .unwrap_or_default()
    }

    /// The headline for a reader `here` on the machine that raced, or elsewhere. Without the second module there are no
    /// measurements.
    pub fn headline(self, here: bool) -> Option<Headline> {
        let SecondModule::Here(rest) = self.second_module.get() else { return None };
        self.shown
            .with(|report| self.looks.with(|looks| (rest.headline)(report, looks, here, self.text().words)))
    }

    /// What the shown race times.
    pub fn mode(self) -> Task {
        self.shown.with(|report| report.config.mode)
    }

    /// The view of the shown race.
    pub fn view(self) -> Metric {
        self.metric.get().within(self.mode())
    }

    /// Starts the configured race. Does nothing while a race runs or where the configuration is invalid.
    pub fn start(self) {
        // Code that handles a race's end before the next frame may start another race immediately.
        self.flush();
        if self.phase.get_untracked() != Phase::Idle {
            return;
        }
        let Ok(config) = self.checked.get_untracked() else {
            self.said.set(self.text().fix_first.to_owned());
            return;
        };
        let Some(id) = self.with_model(Model::begin) else { return };
        self.raced.set(Some(config.clone()));
        self.hidden.set(Vec::new());
        self.was_hidden.set(false);
        self.emphasis.set(None);
        self.at_length.set(None);
        self.flush();
        let sent = self.inner.with_value(|inner| match &inner.client {
            Some(client) => client.send(&Request::Race { id, config: Box::new(config) }),
            None => Err("the engine's client is not there; reload the page".to_owned()),
        });
        if let Err(message) = sent {
            self.with_model(|model| {
                model.apply(Event::Error {
                    id: Some(id),
                    error: protocol::WireError {
                        args: [("reason".to_owned(), ReasonArg::Text(message.clone()))].into(),
                        ..protocol::WireError::new("not-sent", message)
                    },
                });
            });
            self.flush();
        }
    }

    /// Configures another race.
    pub fn choose(self, config: &Config) {
        self.draft.update(|draft| draft.replace(config));
    }

    /// Shows a report that was not measured just now.
    pub fn show(self, report: Report) {
        let config = report.config.clone();
        self.choose(&config);
        self.raced.set(Some(config));
        let report = Arc::new(report);
        self.shared_runs().opened.set(Some(Arc::clone(&report)));
        self.hidden.set(Vec::new());
        self.emphasis.set(None);
        self.at_length.set(None);
        self.with_model(|model| model.report = Some(report));
        self.flush();
    }

    /// Whether the configuration differs from the shown race.
    pub fn stale(self) -> bool {
        self.report.with(Option::is_some)
            && self.checked.with(|checked| self.raced.with(|raced| raced.as_ref() != checked.as_ref().ok()))
    }

    /// Cancels the race.
    pub fn cancel(self) {
        if matches!(self.phase.get_untracked(), Phase::Idle | Phase::Cancelling) {
            return;
        }
        let id = self.with_model(|model| {
            model.cancelling();
            model.race
        });
        self.flush();
        if let Some(id) = id {
            self.inner.with_value(|inner| {
                if let Some(client) = &inner.client {
                    client.cancel(id);
                }
            });
        }
    }

    /// Ends the engine and starts a new one.
    pub fn restart_engine(self) {
        self.dismiss();
        self.inner.with_value(|inner| {
            if let Some(client) = &inner.client {
                client.restart();
            }
        });
    }

    /// Reloads the page. `rescue.js` first stores a race that this page cannot show.
    pub fn reload(self) {
        self.leaving.set(true);
        hooks::announce("crossover-reload", &[]);
    }

    /// Dismisses the last error.
    pub fn dismiss(self) {
        self.with_model(|model| model.problem = None);
        self.flush();
    }

    /// Backend on this machine of lanes that name none.
    pub fn auto_backend(self) -> &'static str {
        self.environment.with(|environment| preview::auto_backend(environment.as_ref()))
    }

    /// The name of a shown lane.
    pub fn lane_name(self, lane: usize) -> String {
        self.looks.with(|looks| looks.get(lane).map(|look| look.label.clone()).unwrap_or_default())
    }
}

/// A finished race as decoded from its link, so that readers of the link see the same digits. Exports keep all digits.
fn as_shared(report: Arc<Report>, rest: SecondModule) -> Arc<Report> {
    match rest {
        SecondModule::Here(rest) if report.status.is_final() => {
            (rest.as_linked)(&report).map_or(report, Arc::new)
        }
        _ => report,
    }
}

fn set_if_new<T: PartialEq + Send + Sync + 'static>(signal: RwSignal<T>, value: T) {
    if signal.with_untracked(|old| *old != value) {
        signal.set(value);
    }
}
