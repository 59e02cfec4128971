//! The playground page. What it says and shows is decided in pure modules that compile and are tested anywhere; the
//! components under `ui` only put it on the screen. The page computes no kernel: it talks to the engine's worker
//! through `crossover.js`.

pub mod draft;
pub mod embed;
pub mod history;
pub mod overlay;
pub mod pattern;
pub mod presets;
pub mod preview;
pub mod qr;
#[cfg(test)]
mod samples;
pub mod shared_runs;
pub mod side_by_side;
pub mod state;
pub mod table;
pub mod text;
pub mod track;
pub mod typed;

#[cfg(target_arch = "wasm32")]
mod ui;
