//! The wasm module in the Web Worker.
