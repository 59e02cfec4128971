//! The report format: wire types, configuration, JSON schema, link codec, exports. This crate has no browser and no
//! clock.

mod bibliography;
mod catalog;
pub mod compare;
mod config;
mod convert;
mod environment;
mod error;
mod export;
mod file;
mod file_name;
mod lengths;
mod link;
mod migrate;
mod parse;
mod reason;
mod resolve;
#[cfg(feature = "schema")]
mod schema;
#[cfg(test)]
mod testing;
mod text;
pub mod units;
mod validate;
mod wire;

pub use bibliography::bibliography;
pub use catalog::{NoDecoding, ParamEntry, SystemEntry};
pub use config::{BackendName, Config, FullLane, LaneConfig, LevelName, ModeName, ParamValue, Threads};
pub use environment::{ChosenKernel, Environment, Gpu, Peaks, Roofline};
pub use error::{ConfigError, Hint, ReportError};
pub use export::Speedup;
pub use file::{FileError, Seems, TextError, file_text, read_file};
pub use lengths::{LengthsError, lengths_text, parse_lengths, parse_whole};
pub use link::{
    LinkError, Linked, as_linked, decode_link, decode_links, encode_config_link, encode_link, is_link,
};
pub use reason::{Reason, ReasonArg, ReasonArgs, reason_args};
#[cfg(feature = "schema")]
pub use schema::report_schema;
pub use wire::{
    Crossover, CrossoverKind, Decoding, Exponent, Lane, Leading, Point, Report, SCHEMA_VERSION, Status,
    Steps, Verdict, Verified, Versus, Warning,
};
