//! The two functions that JavaScript calls: one starts the worker, one passes it a message.

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::prelude::*;

use crate::jobs::Worker;

thread_local! {
    static WORKER: RefCell<Option<Rc<Worker>>> = const { RefCell::new(None) };
}

/// Opens the machine and sends `ready`. `emit` takes the JSON text of each event.
///
/// # Errors
/// An English message, where not even the CPU can be used.
#[wasm_bindgen]
pub async fn start(variant: String, threads: usize, emit: js_sys::Function) -> Result<(), JsValue> {
    let worker = Worker::open(variant, threads, emit).await.map_err(|error| JsValue::from_str(&error))?;
    worker.ready();
    WORKER.with(|slot| slot.replace(Some(Rc::new(worker))));
    Ok(())
}

/// Handles the JSON text of a request, and the bytes beside a verification.
#[wasm_bindgen]
pub fn receive(json: &str, bytes: Option<Vec<u8>>) {
    if let Some(worker) = WORKER.with(|slot| slot.borrow().clone()) {
        worker.receive(json, bytes);
    }
}
