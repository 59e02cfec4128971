//! The whole engine with a fake clock and a fake executor: time passes only where a test says so.
#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod budget;
mod cancel;
mod decoding;
mod faults;
mod laws;
mod schedule;
mod simulation;
mod statistics;
mod timing;
mod world;
