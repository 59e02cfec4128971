//! The whole engine against a fake clock and a fake executor: time passes only where a test says so.

mod budget;
mod cancel;
mod faults;
mod schedule;
mod statistics;
mod timing;
mod world;
