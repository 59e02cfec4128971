//! JavaScript parts of the page, loaded on demand: `files.js` and `history.js`, which `boot.js` provides as
//! `window.crossoverParts`. They mainly call browser functions, so wasm would only make them larger.

use js_sys::Reflect;
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// Reading and saving files.
    pub type Files;

    #[wasm_bindgen(js_namespace = crossoverParts, js_name = files, catch)]
    async fn load_files() -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub fn save(this: &Files, name: &str, mime: &str, text: &str) -> Result<(), JsValue>;

    #[wasm_bindgen(method, catch, js_name = savePng)]
    pub async fn save_png(this: &Files, name: &str, svg: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch, js_name = copyPng)]
    pub async fn copy_png(this: &Files, svg: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method)]
    pub fn watch(this: &Files, limit: f64, take: &JsValue);

    #[wasm_bindgen(method, catch)]
    pub async fn read(this: &Files, files: &JsValue, limit: f64, take: &JsValue) -> Result<JsValue, JsValue>;

    /// Past runs.
    pub type History;

    #[wasm_bindgen(js_namespace = crossoverParts, js_name = history, catch)]
    async fn load_history() -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub async fn list(this: &History) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub async fn add(
        this: &History,
        name: &str,
        saved_at_ms: f64,
        summary: &str,
        report: &str,
    ) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub async fn report(this: &History, id: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub async fn rename(this: &History, id: f64, name: &str) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub async fn remove(this: &History, id: f64) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    pub async fn clear(this: &History) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, js_name = watch)]
    pub fn watch_history(this: &History, listener: &JsValue);
}

/// The module that handles files.
///
/// # Errors
/// Where it could not be loaded.
pub async fn files() -> Result<Files, JsValue> {
    load_files().await.map(JsCast::unchecked_into).map_err(missing)
}

/// The module that stores past runs.
///
/// # Errors
/// Where it could not be loaded.
pub async fn history() -> Result<History, JsValue> {
    load_history().await.map(JsCast::unchecked_into).map_err(missing)
}

/// Name of the error for a missing part, since browsers use its original error's name for many other errors.
pub const MISSING: &str = "PartMissingError";

fn missing(_: JsValue) -> JsValue {
    let error = js_sys::Error::new(MISSING);
    error.set_name(MISSING);
    error.into()
}

/// The name of an error, such as `QuotaExceededError`.
pub fn error_name(error: &JsValue) -> String {
    Reflect::get(error, &"name".into()).ok().and_then(|name| name.as_string()).unwrap_or_default()
}
