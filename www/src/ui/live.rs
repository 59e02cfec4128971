//! Dynamic parts of a view, erased to a few types. Every closure has its own type, and Leptos compiles its code for
//! closures once per type. With these types it does so once for the page.

use std::sync::{Arc, Mutex};

use leptos::prelude::*;

/// A dynamic value.
pub type Live<T> = Arc<Mutex<dyn FnMut() -> T + Send>>;

/// A dynamic attribute, class, style or property.
pub fn live<T: 'static>(value: impl FnMut() -> T + Send + 'static) -> Live<T> {
    Arc::new(Mutex::new(value))
}

/// A dynamic part of the view.
pub fn part<V: IntoAny>(mut view: impl FnMut() -> V + Send + 'static) -> Live<AnyView> {
    Arc::new(Mutex::new(move || view().into_any()))
}

/// `true` or `false` as text, for attributes that require a string.
pub fn truth(mut flag: impl FnMut() -> bool + Send + 'static) -> Live<&'static str> {
    live(move || if flag() { "true" } else { "false" })
}
