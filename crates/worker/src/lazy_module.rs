//! What the worker can do without at first: every system but those of the race that the page opens with, and links. The
//! build puts all that only [`load`] leads to into a module of its own, which is loaded when something asks for it.

use std::cell::Cell;

use compute::FindSystem;
use mixer::{MixerError, System};
use report::{LinkError, Linked, Report};
use wasm_split_helpers::{SplitLoaderError, wasm_split};

/// What the second module does.
#[derive(Clone, Copy)]
pub(crate) struct LazyModule {
    /// Finds every system.
    find: FindSystem,
    /// Packs a report into a link.
    pub(crate) encode_link: fn(&Report) -> Result<String, LinkError>,
    /// Reads a link.
    pub(crate) decode_link: fn(&str) -> Result<Linked, LinkError>,
}

thread_local! {
    static LATER: Cell<Option<LazyModule>> = const { Cell::new(None) };
}

/// The system called `name`.
///
/// # Errors
/// [`MixerError::NotLoaded`] where its code is not there, [`MixerError::UnknownSystem`].
pub(crate) fn find(name: &str) -> Result<&'static System, MixerError> {
    match (LATER.get(), kernels::infos().iter().find(|info| info.id == name)) {
        (Some(later), _) => (later.find)(name),
        (None, None) => Err(kernels::unknown(name)),
        (None, Some(info)) => kernels::find_first(name).ok_or(MixerError::NotLoaded { system: info.title }),
    }
}

/// Whether [`find`] finds the system called `name`, or would not find it with the second module either.
pub(crate) fn is_here(name: &str) -> bool {
    !matches!(find(name), Err(MixerError::NotLoaded { .. }))
}

/// Loads the second module, once, on all of the worker's threads; after a failure, anew.
pub(crate) async fn get(threads: usize) -> Option<LazyModule> {
    if LATER.get().is_none() {
        let later = load().await.ok()?;
        LATER.set(helpers::adopt(threads).then_some(later));
    }
    LATER.get()
}

#[allow(clippy::unnecessary_wraps, reason = "the loader fails in the caller's module")]
#[wasm_split(later, fallible)]
fn load() -> Result<LazyModule, SplitLoaderError> {
    Ok(LazyModule { find: kernels::find, encode_link: report::encode_link, decode_link: report::decode_link })
}

#[cfg(feature = "threads")]
mod helpers {
    use std::sync::atomic::{AtomicBool, Ordering};

    use wasm_bindgen::prelude::*;

    #[wasm_bindgen(raw_module = "./split.js")]
    extern "C" {
        /// The bytes of the module that was loaded.
        fn code() -> Vec<u8>;

        /// Puts its functions into the calling thread's table.
        #[wasm_bindgen(catch)]
        fn adopt_code(code: &[u8]) -> Result<(), JsValue>;
    }

    /// Each thread has a table of functions of its own, and what was loaded is in the loading one's alone. Whether all have it now.
    pub(super) fn adopt(threads: usize) -> bool {
        if threads == 1 {
            return true;
        }
        let code = code();
        let all = AtomicBool::new(true);
        compute::on_each_helper(&|| {
            if adopt_code(&code).is_err() {
                all.store(false, Ordering::Relaxed);
            }
        });
        all.into_inner()
    }
}

#[cfg(not(feature = "threads"))]
mod helpers {
    pub(super) fn adopt(_threads: usize) -> bool {
        true
    }
}
