//! The interface between executors and their surroundings: a clock, a turn of the event loop, a timer, and the presence
//! of a GPU API. Native implementations are trivial. In a browser the worker supplies them, so that this crate knows no
//! browser.

use std::future::Future;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

/// A future supplied by the surroundings.
pub type HostFuture = Pin<Box<dyn Future<Output = ()>>>;

/// Presence of a GPU API.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum GpuApi {
    /// Present, with or without an adapter.
    #[default]
    Present,
    /// A secure page, but no `navigator.gpu`.
    Missing,
    /// No `navigator.gpu` because the page is not a secure context.
    InsecureContext,
}

/// The surroundings.
#[derive(Clone)]
pub struct Host {
    now_ns: Rc<dyn Fn() -> f64>,
    breathe: Rc<dyn Fn() -> HostFuture>,
    sleep: Rc<dyn Fn(Duration) -> HostFuture>,
    /// Whether there is a GPU API.
    pub gpu_api: GpuApi,
}

impl Host {
    /// A host from its parts: `now_ns` is a monotonic clock in nanoseconds, `breathe` a future that is ready after a
    /// turn of the event loop (a macrotask, so that messages arrive), `sleep` a future that is ready after a duration.
    pub fn new(
        now_ns: impl Fn() -> f64 + 'static,
        breathe: impl Fn() -> HostFuture + 'static,
        sleep: impl Fn(Duration) -> HostFuture + 'static,
        gpu_api: GpuApi,
    ) -> Self {
        Self { now_ns: Rc::new(now_ns), breathe: Rc::new(breathe), sleep: Rc::new(sleep), gpu_api }
    }

    /// The host of a native program: a monotonic clock and no event loop. Native drivers answer before their call
    /// returns, so no timer is needed and `sleep` never ends.
    #[cfg(not(target_arch = "wasm32"))]
    pub fn native() -> Self {
        let started = std::time::Instant::now();
        Self::new(
            move || started.elapsed().as_nanos() as f64,
            || Box::pin(std::future::ready(())),
            |_| Box::pin(std::future::pending()),
            GpuApi::Present,
        )
    }

    /// The clock, nanoseconds from an arbitrary start.
    pub fn now_ns(&self) -> f64 {
        (self.now_ns)()
    }

    /// Gives the event loop a turn.
    pub async fn breathe(&self) {
        (self.breathe)().await;
    }

    /// `future`'s output, or `None` where it takes longer than `limit`.
    pub async fn within<T>(&self, limit: Duration, future: impl Future<Output = T>) -> Option<T> {
        let mut future = pin!(future);
        let mut timer = (self.sleep)(limit);
        std::future::poll_fn(|context| {
            if let Poll::Ready(output) = future.as_mut().poll(context) {
                return Poll::Ready(Some(output));
            }
            timer.as_mut().poll(context).map(|()| None)
        })
        .await
    }
}
