//! What changes in a view, behind a few types. Every closure has a type of its own, and Leptos compiles all that it
//! does with a closure once per type; behind these, once for the page.

use std::sync::{Arc, Mutex};

use leptos::prelude::*;

/// A value that changes.
pub type Live<T> = Arc<Mutex<dyn FnMut() -> T + Send>>;

/// An attribute, class, style or property that changes.
pub fn live<T: 'static>(value: impl FnMut() -> T + Send + 'static) -> Live<T> {
    Arc::new(Mutex::new(value))
}

/// A part of the view that changes.
pub fn part<V: IntoAny>(mut view: impl FnMut() -> V + Send + 'static) -> Live<AnyView> {
    Arc::new(Mutex::new(move || view().into_any()))
}

/// `true` or `false`, for attributes that want a word.
pub fn truth(mut flag: impl FnMut() -> bool + Send + 'static) -> Live<&'static str> {
    live(move || if flag() { "true" } else { "false" })
}
