//! The playground page. Pure modules, which compile and are tested on any platform, decide what it shows. The
//! components in `ui` only render it. The page runs no kernel: it talks to the engine's worker through
//! `crossover.js`.

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
