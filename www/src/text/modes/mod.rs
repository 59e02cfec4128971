//! Texts that depend on what a race times: forward passes, or generated tokens after a context.

mod en;
mod zh;

pub(super) use en::{ABOUT as ENGLISH_ABOUT, DECODE as ENGLISH_DECODE, FORWARD as ENGLISH_FORWARD};
pub(super) use zh::{ABOUT as CHINESE_ABOUT, DECODE as CHINESE_DECODE, FORWARD as CHINESE_FORWARD};

/// These texts of one mode in a language. Lengths are those of sequences or of contexts.
pub struct ModeText {
    /// The mode's name, and a sentence about it.
    pub name: (&'static str, &'static str),
    pub field_lengths: &'static str,
    pub activity: fn(&str, &str, &str) -> String,
    pub summary: fn(usize, &str, u32, &str) -> String,
    pub chart_title: &'static str,
    pub chart_summary: fn(usize, &str, &str) -> String,
    /// The unit of a length.
    pub tokens: &'static str,
    pub lanes_at: fn(&str) -> String,
    pub results_caption: fn(&str) -> String,
    pub growth_help: &'static str,
    /// The table's last columns with their explanations, those of `table::columns`.
    pub columns: &'static [(&'static str, &'static str)],
    pub columns_note: &'static str,
}
