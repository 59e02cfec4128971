//! A one-shot cell between a wgpu callback and a future. It is set once, any number of futures can await it, and it is
//! closed when the callback is dropped without a call.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};

#[derive(Debug)]
struct State<T> {
    value: Option<T>,
    closed: bool,
    wakers: Vec<Waker>,
}

/// The waiting side. Clones wait for one value.
#[derive(Debug, Clone)]
pub(crate) struct Signal<T>(Arc<Mutex<State<T>>>);

/// The setting side.
#[derive(Debug)]
pub(crate) struct Setter<T>(Arc<Mutex<State<T>>>);

fn lock<T>(state: &Mutex<State<T>>) -> MutexGuard<'_, State<T>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A signal and its setter.
pub(crate) fn signal<T>() -> (Setter<T>, Signal<T>) {
    let state = Arc::new(Mutex::new(State { value: None, closed: false, wakers: Vec::new() }));
    (Setter(state.clone()), Signal(state))
}

impl<T> Setter<T> {
    /// Sets the value. Later values are ignored.
    pub fn set(&self, value: T) {
        let wakers = {
            let mut state = lock(&self.0);
            state.value.get_or_insert(value);
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T> Drop for Setter<T> {
    fn drop(&mut self) {
        let wakers = {
            let mut state = lock(&self.0);
            state.closed = true;
            std::mem::take(&mut state.wakers)
        };
        wakers.into_iter().for_each(Waker::wake);
    }
}

impl<T: Clone> Signal<T> {
    /// The value, if set.
    pub fn get(&self) -> Option<T> {
        lock(&self.0).value.clone()
    }

    /// Ready with the value, or with `None` where the setter was dropped. Otherwise wakes `waker` later.
    pub fn poll(&self, waker: &Waker) -> Poll<Option<T>> {
        let mut state = lock(&self.0);
        if state.value.is_some() || state.closed {
            return Poll::Ready(state.value.clone());
        }
        if !state.wakers.iter().any(|known| known.will_wake(waker)) {
            state.wakers.push(waker.clone());
        }
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_value_wins_and_a_dropped_setter_ends_the_wait() {
        let (setter, waiting) = signal();
        assert_eq!(waiting.poll(Waker::noop()), Poll::Pending);
        setter.set(1);
        setter.set(2);
        assert_eq!(waiting.poll(Waker::noop()), Poll::Ready(Some(1)));
        let (setter, waiting) = signal::<i32>();
        drop(setter);
        assert_eq!(waiting.poll(Waker::noop()), Poll::Ready(None));
    }
}
