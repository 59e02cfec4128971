//! The engine's client: `window.crossover`, which `index.html` loads before this module. Messages are JSON text.

use protocol::{Event, Request, WireError};
use report::ReasonArg;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// A connection to the engine.
    type JsClient;

    #[wasm_bindgen(js_namespace = crossover, js_name = connect, catch)]
    fn connect(on_event: &JsValue) -> Result<JsClient, JsValue>;

    #[wasm_bindgen(method, catch)]
    fn send(this: &JsClient, json: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn cancel(this: &JsClient, id: u32) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch)]
    fn restart(this: &JsClient) -> Result<(), JsValue>;
}

/// A connection that lives as long as the page.
pub struct Client {
    js: JsClient,
}

impl Client {
    /// Connects. `on_event` receives every event as JSON.
    ///
    /// # Errors
    /// The browser's message, where `crossover.js` is not loaded.
    pub fn connect(on_event: impl FnMut(String) + 'static) -> Result<Self, String> {
        let callback = Closure::<dyn FnMut(String)>::new(on_event);
        let js = connect(&callback.into_js_value()).map_err(|error| words(&error))?;
        Ok(Self { js })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The client's message.
    pub fn send(&self, request: &Request) -> Result<(), String> {
        let json = serde_json::to_string(request).map_err(|error| error.to_string())?;
        self.js.send(&json).map_err(|error| words(&error))
    }

    /// Cancels the race `id`; the client ends the worker if necessary.
    pub fn cancel(&self, id: u32) {
        let _ = self.js.cancel(id);
    }

    /// Ends the engine and starts a new one.
    pub fn restart(&self) {
        let _ = self.js.restart();
    }
}

/// Parses an event. An invalid one becomes an error event.
pub fn event(json: &str) -> Event {
    Event::from_json(json).unwrap_or_else(|error| Event::Error {
        id: None,
        error: WireError {
            args: [("error".to_owned(), ReasonArg::Text(error.to_string()))].into(),
            ..WireError::new(
                "unreadable-event",
                format!("The engine sent something that this page can't read: {error}. Reload the page."),
            )
        },
    })
}

fn words(error: &JsValue) -> String {
    error
        .dyn_ref::<js_sys::Error>()
        .map(|error| String::from(error.message()))
        .or_else(|| error.as_string())
        .unwrap_or_else(|| "unknown error".to_owned())
}
