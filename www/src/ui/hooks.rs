//! Small bridges to the browser: elements, frames, timers, storage, wake lock. Functions that the browser may refuse
//! return `None` and do not fail.

use std::cell::{Cell, RefCell};
use std::rc::Rc;

use js_sys::{Function, Reflect};
use leptos::prelude::*;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use web_sys::{HtmlElement, Window};

/// The window, which always exists, since the module runs in pages only.
pub fn window() -> Option<Window> {
    web_sys::window()
}

/// The element with this id.
pub fn element(id: &str) -> Option<HtmlElement> {
    window()?.document()?.get_element_by_id(id)?.dyn_into().ok()
}

/// Moves the focus to the element with this id after the next update of the page.
pub fn focus_soon(id: impl Into<String>) {
    let id = id.into();
    after(0, move || {
        if let Some(element) = element(&id) {
            let _ = element.focus();
        }
    });
}

/// Runs `work` once after `ms` milliseconds.
pub fn after(ms: i32, work: impl FnOnce() + 'static) {
    let callback = Closure::once_into_js(work);
    if let Some(window) = window() {
        let _ = window.set_timeout_with_callback_and_timeout_and_arguments_0(callback.unchecked_ref(), ms);
    }
}

/// Runs its work at most once per animation frame, however often it is requested, and after 250 ms at the latest, since
/// hidden pages get no frames.
#[derive(Clone)]
pub struct PerFrame(Rc<PerFrameState>);

struct PerFrameState {
    pending: Cell<bool>,
    work: RefCell<Box<dyn FnMut()>>,
}

impl PerFrame {
    /// Creates the object for this work.
    pub fn new(work: impl FnMut() + 'static) -> Self {
        Self(Rc::new(PerFrameState { pending: Cell::new(false), work: RefCell::new(Box::new(work)) }))
    }

    /// Requests a run.
    pub fn request(&self) {
        if self.0.pending.replace(true) {
            return;
        }
        let run = {
            let state = Rc::clone(&self.0);
            move || {
                if state.pending.replace(false)
                    && let Ok(mut work) = state.work.try_borrow_mut()
                {
                    work();
                }
            }
        };
        let late = run.clone();
        if let Some(window) = window() {
            let _ = window.request_animation_frame(Closure::once_into_js(run).unchecked_ref());
        }
        after(250, late);
    }
}

/// Listens on the window for the lifetime of the page.
pub fn listen<E: JsCast + 'static>(event: &str, handler: impl FnMut(E) + 'static) {
    let mut handler = handler;
    let callback = Closure::<dyn FnMut(JsValue)>::new(move |event: JsValue| handler(event.unchecked_into()));
    if let Some(window) = window() {
        let _ = window.add_event_listener_with_callback(event, callback.as_ref().unchecked_ref());
    }
    callback.forget();
}

/// Calls `work` whenever the page is hidden.
pub fn on_hidden(work: impl Fn() + 'static) {
    let Some(document) = window().and_then(|window| window.document()) else { return };
    let target = document.clone();
    let callback = Closure::<dyn FnMut()>::new(move || {
        if document.hidden() {
            work();
        }
    });
    let _ = target.add_event_listener_with_callback("visibilitychange", callback.as_ref().unchecked_ref());
    callback.forget();
}

/// Reads from local storage, where the browser allows it.
pub fn stored(key: &str) -> Option<String> {
    window()?.local_storage().ok()??.get_item(key).ok()?
}

/// Writes to local storage, where the browser allows it.
pub fn store(key: &str, value: &str) {
    if let Some(Ok(Some(storage))) = window().map(|window| window.local_storage()) {
        let _ = storage.set_item(key, value);
    }
}

/// Calls a method that may be missing or may fail.
pub fn call(target: &JsValue, name: &str, argument: Option<&JsValue>) -> Option<JsValue> {
    let function: Function = Reflect::get(target, &name.into()).ok()?.dyn_into().ok()?;
    match argument {
        Some(argument) => function.call1(target, argument).ok(),
        None => function.call0(target).ok(),
    }
}

/// Keeps the screen on while it is held, where the browser supports and allows it.
#[derive(Clone, Default)]
pub struct WakeLock(Rc<WakeState>);

#[derive(Default)]
struct WakeState {
    wanted: Cell<bool>,
    lock: RefCell<Option<JsValue>>,
}

impl WakeLock {
    /// Acquires the lock.
    pub fn hold(&self) {
        self.0.wanted.set(true);
        let state = Rc::clone(&self.0);
        wasm_bindgen_futures::spawn_local(async move {
            let lock = async {
                let navigator: JsValue = window()?.navigator().into();
                let wake_lock = Reflect::get(&navigator, &"wakeLock".into()).ok()?;
                let promise = call(&wake_lock, "request", Some(&"screen".into()))?;
                JsFuture::from(promise.dyn_into::<js_sys::Promise>().ok()?).await.ok()
            }
            .await;
            if state.wanted.get() {
                *state.lock.borrow_mut() = lock;
            } else if let Some(lock) = lock {
                // The race ended before the browser answered.
                let _ = call(&lock, "release", None);
            }
        });
    }

    /// Releases the lock.
    pub fn release(&self) {
        self.0.wanted.set(false);
        if let Some(lock) = self.0.lock.borrow_mut().take() {
            let _ = call(&lock, "release", None);
        }
    }
}

/// Copies text; returns whether the browser allowed it.
pub async fn copy(text: String) -> bool {
    let promise = window().and_then(|window| {
        // Outside of secure contexts there is no clipboard.
        let clipboard = Reflect::get(&window.navigator(), &"clipboard".into()).ok()?;
        call(&clipboard, "writeText", Some(&text.into()))?.dyn_into::<js_sys::Promise>().ok()
    });
    match promise {
        Some(promise) => JsFuture::from(promise).await.is_ok(),
        None => false,
    }
}

/// Copies text, or selects it in the element with this id so that the reader can copy it. Returns whether it was
/// copied.
pub async fn copy_or_select(text: String, id: &str) -> bool {
    let copied = copy(text).await;
    if let Some(element) = element(id).filter(|_| !copied) {
        // A field can select its own text, but needs the focus.
        let _ = call(&element, "focus", None);
        if call(&element, "select", None).is_none()
            && let Some(selection) = window().and_then(|window| call(&window, "getSelection", None))
        {
            call(&selection, "selectAllChildren", Some(&element));
        }
    }
    copied
}

/// Fetches text relative to the page.
pub async fn fetch_text(address: &str) -> Option<String> {
    let response = JsFuture::from(window()?.fetch_with_str(address)).await.ok()?;
    let response: web_sys::Response = response.dyn_into().ok()?;
    if !response.ok() {
        return None;
    }
    JsFuture::from(response.text().ok()?).await.ok()?.as_string()
}

/// Whether the element uses the space bar itself.
pub fn takes_keys(target: Option<web_sys::EventTarget>) -> bool {
    target
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
        .and_then(|element| {
            element
                .closest("input, textarea, select, button, summary, a[href], [role=tab], [contenteditable], dialog")
                .ok()
        })
        .flatten()
        .is_some()
}

/// Keeps a dialog open while the signal is true. A click on the backdrop closes it.
pub fn modal(dialog: NodeRef<leptos::html::Dialog>, open: RwSignal<bool>) {
    Effect::new(move |_| {
        let wanted = open.get();
        let Some(element) = dialog.get() else { return };
        if wanted && !element.open() {
            let _ = element.show_modal();
        } else if !wanted && element.open() {
            element.close();
        }
    });
    Effect::new(move |listening: Option<bool>| {
        let Some(element) = dialog.get() else { return false };
        if listening != Some(true) {
            let own: web_sys::EventTarget = element.clone().into();
            let target = own.clone();
            let callback = Closure::<dyn FnMut(web_sys::Event)>::new(move |event: web_sys::Event| {
                // A click on the backdrop has the dialog itself as its target.
                if event.target().as_ref() == Some(&own) {
                    open.set(false);
                }
            });
            let _ = target.add_event_listener_with_callback("click", callback.as_ref().unchecked_ref());
            callback.forget();
        }
        true
    });
}

/// Whether text can be typed into the element.
pub fn typing(target: Option<web_sys::EventTarget>) -> bool {
    target
        .and_then(|target| target.dyn_into::<web_sys::Element>().ok())
        .and_then(|element| {
            element
                .closest("input:not([type=checkbox], [type=radio]), textarea, select, [contenteditable]")
                .ok()
        })
        .flatten()
        .is_some()
}

/// Whether a dialog is open, which then handles Escape.
pub fn dialog_open() -> bool {
    window()
        .and_then(|window| window.document())
        .and_then(|document| document.query_selector("dialog[open]").ok())
        .flatten()
        .is_some()
}

/// Whether the focus is inside the element with this id.
pub fn focused_within(id: &str) -> bool {
    let focused =
        window().and_then(|window| window.document()).and_then(|document| document.active_element());
    element(id).is_some_and(|element| element.contains(focused.as_deref()))
}

/// Whether an element other than the page's body has the focus.
pub fn focused_elsewhere() -> bool {
    window()
        .and_then(|window| window.document())
        .and_then(|document| document.active_element())
        .is_some_and(|element| element.tag_name() != "BODY")
}

/// Dispatches an event with this name on the window, with these fields in its detail.
pub fn announce(event: &str, words: &[(&str, &str)]) {
    let detail = js_sys::Object::new();
    for (name, word) in words {
        let _ = Reflect::set(&detail, &JsValue::from_str(name), &JsValue::from_str(word));
    }
    let options = web_sys::CustomEventInit::new();
    options.set_detail(&detail);
    if let (Some(window), Ok(event)) =
        (window(), web_sys::CustomEvent::new_with_event_init_dict(event, &options))
    {
        let _ = window.dispatch_event(&event);
    }
}

/// The address of the site, with a trailing slash.
pub fn site() -> Option<String> {
    let base = window()?.document()?.base_uri().ok()??;
    let bare = base.split(['#', '?']).next().unwrap_or_default();
    bare.rsplit_once('/').map(|(folder, _)| format!("{folder}/"))
}
