//! The texts of charts, figures and headlines, one table per language. A new message is a field of [`Words`] and a line
//! in each language's file.
#![allow(missing_docs, reason = "a message's field name and its English text say what it is")]

mod en;
mod en_decode;
mod zh;
mod zh_decode;

pub use en::ENGLISH;
pub use zh::CHINESE;

use mixer::Task;
use report::Point;

/// The messages of a language. Messages with parameters are functions.
pub struct Words {
    /// The BCP 47 tag, for `lang` and `xml:lang` attributes.
    pub lang: &'static str,
    pub name: &'static str,
    /// The reason of an unmeasured point, if there is more to say than its outcome.
    pub reason: fn(&Point) -> Option<String>,
    pub outcome: fn(&str) -> &'static str,
    pub metric_gflops: &'static str,
    pub metric_bandwidth: &'static str,
    pub metric_memory: &'static str,
    pub metric_roofline: &'static str,
    pub metric_state: &'static str,
    pub metric_prefill: &'static str,
    pub axis_gflops: &'static str,
    pub axis_bandwidth: &'static str,
    pub axis_roofline: &'static str,
    pub axis_state: &'static str,
    pub axis_prefill: &'static str,
    /// The label of the memory limit's line.
    pub memory_limit: fn(&str) -> String,
    pub crossover_label: fn(&str) -> String,
    pub interval: fn(&str, &str) -> String,
    pub key_full: &'static str,
    pub faster: fn(&str) -> String,
    pub slower: fn(&str) -> String,
    pub about_equal: fn(&str) -> String,
    pub undecided: fn(&str) -> String,
    pub no_interval: fn(&str) -> String,
    pub needs: fn(&str) -> String,
    /// A point's description for a system that ran full attention there.
    pub and_full_attention: fn(&str) -> String,
    pub causal_only: &'static str,
    pub bidirectional_only: &'static str,
    pub hw_gpu: &'static str,
    pub hw_gpu_unnamed: &'static str,
    pub hw_cpu: &'static str,
    pub hw_threads: fn(u32) -> String,
    pub backend_cpu: &'static str,
    pub backend_gpu: &'static str,
    pub level_core: &'static str,
    pub level_layer: &'static str,
    pub so_far: fn(&str) -> String,
    pub this_cpu: &'static str,
    pub this_gpu: &'static str,
    pub this_software_gpu: &'static str,
    /// A quantity that is drawn with its quartiles.
    pub figure_median: fn(&str) -> String,
    pub figure_work: fn(&str, &str, &str) -> String,
    pub figure_problem: fn(u32, u32, u32, u32) -> String,
    /// The number of generated tokens of a run.
    pub figure_tokens: fn(usize) -> String,
    pub causal: &'static str,
    pub bidirectional: &'static str,
    pub figure_software: &'static str,
    /// The words of races of forward passes.
    pub forward: Wording,
    /// The words of races of generated tokens.
    pub decode: Wording,
}

/// The messages that depend on what a race times. Lengths are those of sequences, or when decoding those of contexts.
pub struct Wording {
    pub metric_time: &'static str,
    pub metric_throughput: &'static str,
    pub axis_length: &'static str,
    pub axis_time: &'static str,
    pub axis_throughput: &'static str,
    pub axis_memory: &'static str,
    pub point_description: fn(&str, &str, &str, &str, &str) -> String,
    pub dnf_description: fn(&str, &str, &str, &str) -> String,
    pub crossover_description: fn(&str, &str, &str) -> String,
    pub overtakes: fn(&str, &str, &str, &str) -> String,
    pub overtakes_first: fn(&str, &str, &str, &str) -> String,
    pub always_ahead: fn(&str, &str, &str) -> String,
    /// Predictions, each with the lane, the length, its interval and the longest raced length: for a lane that was
    /// always behind, for a lane that was ahead before, and for a lane without a verdict at the longest length.
    pub would_overtake: fn(&str, &str, &str, &str) -> String,
    pub would_overtake_again: fn(&str, &str, &str, &str) -> String,
    pub fits_cross: fn(&str, &str, &str, &str) -> String,
    pub ahead_by: fn(&str, &str, &str) -> String,
    pub undecided_overtaking: fn(&str, &str, &str) -> String,
    pub undecided_behind: fn(&str, &str, &str) -> String,
    /// The lane, the longest length, the processor and the number of challengers.
    pub undecided_ahead: fn(&str, &str, &str, usize) -> String,
    pub no_overtaking: fn(&str, &str, &str) -> String,
    pub stays_ahead: fn(&str, &str, &str) -> String,
    pub ahead_before: fn(&str, &str, &str) -> String,
    /// All three take the lane, the length and the ratio; the first two include the ratio's interval in brackets.
    pub faster_at: fn(&str, &str, &str, &str) -> String,
    pub slower_at: fn(&str, &str, &str, &str) -> String,
    pub undecided_at: fn(&str, &str, &str) -> String,
    pub ratio_at: fn(&str, &str, &str) -> String,
    /// Numbers of challengers that overtake, of undecided challengers, and of all challengers.
    pub tally: fn(usize, usize, usize) -> String,
    pub only_lane: fn(&str, &str, &str) -> String,
    pub close_pair: fn(&str, &str, &str, &str) -> String,
    pub pair_without_interval: fn(&str, &str, &str, &str, &str) -> String,
    pub fastest: fn(&str, &str, &str, &str) -> String,
}

impl Words {
    /// The words that depend on what a race times.
    pub fn of(&self, mode: Task) -> &Wording {
        match mode {
            Task::Forward => &self.forward,
            Task::Decode { .. } => &self.decode,
        }
    }

    /// `CPU` or `GPU`.
    pub fn backend(&self, backend: &str) -> &'static str {
        if backend == "cpu" { self.backend_cpu } else { self.backend_gpu }
    }

    /// The form of a race.
    pub fn form(&self, causal: bool) -> &'static str {
        if causal { self.causal } else { self.bidirectional }
    }
}

/// The message of a point, in English.
fn message(point: &Point) -> Option<String> {
    point.message.clone().filter(|message| point.reason.is_none() || !message.is_empty())
}
