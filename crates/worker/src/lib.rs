//! The wasm module in the Web Worker: messages in, events out. It owns the GPU device and the threads. Every result
//! leaves it immediately as a report snapshot, so the page may end it at any time without a loss.

#[cfg(target_arch = "wasm32")]
mod browser;
#[cfg(target_arch = "wasm32")]
mod jobs;
#[cfg(target_arch = "wasm32")]
mod lazy_module;
#[cfg(target_arch = "wasm32")]
mod start;
#[cfg(target_arch = "wasm32")]
mod watch;

#[cfg(all(target_arch = "wasm32", feature = "threads"))]
pub use wasm_bindgen_rayon::init_thread_pool;

#[cfg(all(target_arch = "wasm32", feature = "simd", not(target_feature = "simd128")))]
compile_error!(
    "the `simd` feature needs -C target-feature=+simd128: without it every kernel is several times slower"
);
