//! Code in the lazily loaded second module: all systems except those in `FIRST`, and the link codec. The build moves
//! all code that is reachable only from [`load`] into this module, which is loaded on demand.

use std::cell::Cell;

use compute::FindSystem;
use mixer::{MixerError, System};
use report::{LinkError, Linked, Report};
use wasm_split_helpers::SplitLoaderError;
#[cfg(not(no_split))]
use wasm_split_helpers::wasm_split;

/// Functions of the second module.
#[derive(Clone, Copy)]
pub(crate) struct LazyModule {
    /// Finds every system.
    find: FindSystem,
    /// Encodes a report as a link.
    pub(crate) encode_link: fn(&Report) -> Result<String, LinkError>,
    /// Decodes a link.
    pub(crate) decode_link: fn(&str) -> Result<Linked, LinkError>,
}

thread_local! {
    static LATER: Cell<Option<LazyModule>> = const { Cell::new(None) };
}

/// The system called `name`.
///
/// # Errors
/// [`MixerError::NotLoaded`] where its code is not loaded, [`MixerError::UnknownSystem`].
pub(crate) fn find(name: &str) -> Result<&'static System, MixerError> {
    match (LATER.get(), kernels::infos().iter().find(|info| info.id == name)) {
        (Some(later), _) => (later.find)(name),
        (None, None) => Err(kernels::unknown(name)),
        (None, Some(info)) => kernels::find_first(name).ok_or(MixerError::NotLoaded { system: info.title }),
    }
}

/// Whether the second module would not change the result of [`find`] for `name`.
pub(crate) fn is_here(name: &str) -> bool {
    !matches!(find(name), Err(MixerError::NotLoaded { .. }))
}

/// Loads the second module once, on all of the worker's threads. After a failure the next call tries again.
pub(crate) async fn get(threads: usize) -> Option<LazyModule> {
    if LATER.get().is_none() {
        let later = load().await.ok()?;
        LATER.set(helpers::adopt(threads).then_some(later));
    }
    LATER.get()
}

/// All of it. Only [`load`] may call this.
const fn all() -> LazyModule {
    LazyModule { find: kernels::find, encode_link: report::encode_link, decode_link: report::decode_link }
}

#[cfg(not(no_split))]
#[allow(clippy::unnecessary_wraps, reason = "the loader fails in the caller's module")]
#[wasm_split(later, fallible)]
fn load() -> Result<LazyModule, SplitLoaderError> {
    Ok(all())
}

/// In a module that was not split nothing has to be loaded.
#[cfg(no_split)]
async fn load() -> Result<LazyModule, SplitLoaderError> {
    Ok(all())
}

#[cfg(all(feature = "threads", not(no_split)))]
mod helpers {
    use std::sync::atomic::{AtomicBool, Ordering};

    use wasm_bindgen::prelude::*;

    #[wasm_bindgen(raw_module = "./split.js")]
    extern "C" {
        /// The bytes of the loaded module.
        fn code() -> Vec<u8>;

        /// Adds its functions to the calling thread's table.
        #[wasm_bindgen(catch)]
        fn adopt_code(code: &[u8]) -> Result<(), JsValue>;
    }

    /// Adds the loaded functions to every thread's table, since each thread has its own and loading fills only one.
    /// Returns whether all threads have them now.
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

#[cfg(any(not(feature = "threads"), no_split))]
mod helpers {
    pub(super) fn adopt(_threads: usize) -> bool {
        true
    }
}
