//! Sample reports for tests, with the structure of real ones and made-up numbers.

use report::Report;

/// Attention against Hyena on a GPU, with a measured crossover.
pub fn duel() -> Report {
    Report::from_json(include_str!("../../crates/chart/tests/fixtures/duel.json")).unwrap()
}

/// Attention against its naive form, which runs out of memory.
pub fn wall() -> Report {
    Report::from_json(include_str!("../../crates/chart/tests/fixtures/wall.json")).unwrap()
}

/// Generated tokens of attention and Hyena on a CPU, with a measured crossover, and a system that does not decode.
pub fn decode() -> Report {
    Report::from_json(include_str!("../../crates/chart/tests/fixtures/decode.json")).unwrap()
}
