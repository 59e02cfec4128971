//! Browser functions that the worker needs: a turn of the event loop and facts for the hardware card.

use std::rc::Rc;
use std::time::Duration;

use compute::{GpuApi, Host, HostFuture};
use race::Clock;
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;

use crate::watch::{PerformanceClock, Surroundings};

/// The surroundings of the executors.
pub(crate) fn host(clock: &PerformanceClock, surroundings: &Rc<Surroundings>) -> Host {
    let clock = clock.clone();
    let surroundings = Rc::clone(surroundings);
    let breathe = move || -> HostFuture {
        // The race of a hidden page only waits, so it should not keep a core busy.
        if surroundings.is_hidden() { Box::pin(sleep(HIDDEN_PAUSE)) } else { Box::pin(breathe()) }
    };
    Host::new(move || clock.now_ns(), breathe, |limit| Box::pin(sleep(limit)), gpu_api())
}

/// Interval at which a waiting race checks whether the page is shown again.
const HIDDEN_PAUSE: Duration = Duration::from_millis(50);

fn gpu_api() -> GpuApi {
    if navigator_field("gpu").is_some() {
        GpuApi::Present
    } else if field(&js_sys::global(), "isSecureContext").is_some_and(|value| value.is_truthy()) {
        GpuApi::Missing
    } else {
        GpuApi::InsecureContext
    }
}

async fn sleep(limit: Duration) {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        let timer =
            field(&js_sys::global(), "setTimeout").and_then(|f| f.dyn_into::<js_sys::Function>().ok());
        if let Some(timer) = timer {
            let _ = timer.call2(&JsValue::NULL, &resolve, &JsValue::from_f64(limit.as_secs_f64() * 1e3));
        }
    });
    let _ = JsFuture::from(promise).await;
}

/// Gives the event loop one turn, so that messages arrive. Uses a message channel, because browsers delay nested timers
/// by 4 ms and timers of hidden tabs by a second.
async fn breathe() {
    let promise = js_sys::Promise::new(&mut |resolve, _| {
        let Ok(channel) = web_sys::MessageChannel::new() else {
            // Without channels, the microtask queue is the fallback.
            let _ = resolve.call0(&JsValue::NULL);
            return;
        };
        channel.port1().set_onmessage(Some(&resolve));
        let _ = channel.port2().post_message(&JsValue::NULL);
    });
    let _ = JsFuture::from(promise).await;
}

/// `navigator.userAgent`, or an empty string.
pub(crate) fn user_agent() -> String {
    navigator_field("userAgent").and_then(|value| value.as_string()).unwrap_or_default()
}

/// `navigator.hardwareConcurrency`, or 1.
pub(crate) fn cores() -> u32 {
    navigator_field("hardwareConcurrency").and_then(|value| value.as_f64()).map_or(1, |cores| cores as u32)
}

/// Whether the worker is cross-origin isolated.
pub(crate) fn isolated() -> bool {
    field(&js_sys::global(), "crossOriginIsolated").is_some_and(|value| value.is_truthy())
}

/// Milliseconds since 1970.
pub(crate) fn calendar_ms() -> f64 {
    js_sys::Date::now()
}

fn navigator_field(name: &str) -> Option<JsValue> {
    field(&field(&js_sys::global(), "navigator")?, name)
}

fn field(object: &JsValue, name: &str) -> Option<JsValue> {
    js_sys::Reflect::get(object, &name.into()).ok().filter(|value| !value.is_undefined())
}
