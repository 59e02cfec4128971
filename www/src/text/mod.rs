//! All texts of the page, in one typed catalogue per language, so that a language that lacks a text does not compile. A
//! new text is a field of [`Text`] and a line in each language's file. A new language is a file, a variant of
//! [`Language`] and a case in `ui/language.rs`, which loads it.
#![allow(missing_docs, reason = "a message's field name and its English text say what it is")]

mod catalogue;
mod en;
mod modes;
mod phrases;
#[cfg(test)]
mod tests;
mod travel;
mod zh;

pub use catalogue::Told;
pub use en::ENGLISH;
pub use modes::ModeText;
pub use travel::Travel;
pub use zh::CHINESE;

use chart::Words;
use mixer::Task;
use report::{ReasonArgs, SystemEntry};

/// A language that the page speaks. Its messages may be in a file of their own, which a page in another language does
/// without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Language {
    English,
    Chinese,
}

impl Language {
    /// All languages, the fallback first.
    pub const ALL: [Self; 2] = [Self::English, Self::Chinese];

    /// The BCP 47 tag.
    pub const fn lang(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh-Hans",
        }
    }

    /// The language's own name.
    pub const fn endonym(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::Chinese => "简体中文",
        }
    }
}

/// The first of the reader's languages that the page has, by the primary subtag of their BCP 47 tags; otherwise
/// English.
pub fn preferred<'a>(wishes: impl IntoIterator<Item = &'a str>) -> Language {
    let primary = |tag: &str| tag.split(['-', '_']).next().unwrap_or_default().to_ascii_lowercase();
    wishes
        .into_iter()
        .find_map(|wish| Language::ALL.into_iter().find(|language| primary(language.lang()) == primary(wish)))
        .unwrap_or(Language::English)
}

/// The texts of every language.
#[cfg(test)]
pub static LANGUAGES: [&Text; 2] = [&ENGLISH, &CHINESE];

/// The texts of a language. Texts with arguments are functions.
pub struct Text {
    /// Those of charts, figures and headlines.
    pub words: &'static Words,
    pub language: &'static str,
    /// The error for a language that could not be loaded, given by its own name.
    pub language_failed: fn(&str) -> String,
    /// Sharing, exports, comparison, past runs.
    pub travel: &'static Travel,
    /// Texts of races of forward passes, and of races of generated tokens.
    pub forward: ModeText,
    pub decode: ModeText,
    pub tagline: &'static str,
    pub intro: &'static str,
    pub skip: &'static str,

    pub start: &'static str,
    pub again: &'static str,
    pub starting: &'static str,
    pub cancel: &'static str,
    pub cancelling: &'static str,
    pub space_hint: &'static str,
    pub esc_hint: &'static str,
    pub ready: &'static str,
    pub loading_engine: &'static str,
    pub fix_first: &'static str,
    pub doing: fn(&str) -> &'static str,
    pub time_left: fn(&str) -> String,
    pub at_most: fn(&str) -> String,
    pub announce: fn(u32, &str, &str) -> String,
    pub announce_start: &'static str,
    pub announce_done: &'static str,
    pub announce_cancelled: &'static str,
    pub hidden_note: &'static str,
    pub keep_visible: &'static str,
    pub was_hidden: &'static str,
    pub progress_label: &'static str,

    pub theme: &'static str,
    pub theme_auto: &'static str,
    pub theme_light: &'static str,
    pub theme_dark: &'static str,
    pub close: &'static str,
    pub dismiss: &'static str,
    pub copy_error: &'static str,
    pub copied: &'static str,
    pub restart_engine: &'static str,
    pub reload: &'static str,
    pub problem_title: &'static str,

    pub presets: &'static str,
    pub preset_duel: (&'static str, &'static str),
    pub preset_both: (&'static str, &'static str),
    pub preset_wall: (&'static str, &'static str),
    pub preset_challengers: (&'static str, &'static str),
    pub preset_efficient: (&'static str, &'static str),
    pub preset_liquid: (&'static str, &'static str),
    pub preset_everything: (&'static str, &'static str),
    pub preset_everything_both: (&'static str, &'static str),
    pub preset_decode_states: (&'static str, &'static str),
    pub preset_decode_wall: (&'static str, &'static str),
    pub preset_decode_groups: (&'static str, &'static str),
    pub preset_decode_batch: (&'static str, &'static str),
    pub preset_needs_gpu: &'static str,

    pub chart_help: &'static str,
    pub chart_keys: &'static str,
    pub chart_empty: &'static str,
    pub chart_sketch: &'static str,
    pub chart_no_roofline: &'static str,
    pub chart_roofline: &'static str,
    pub views: &'static str,
    pub quartiles: &'static str,
    pub time_interval: &'static str,
    pub versus: &'static str,
    pub device_time: &'static str,
    pub predicted: &'static str,
    pub measured: &'static str,
    pub key_line: &'static str,
    pub key_dashed: &'static str,
    pub key_band: &'static str,
    pub key_dnf: &'static str,
    pub key_fill: &'static str,

    pub lanes_title: &'static str,
    pub lanes_before: &'static str,
    pub show_lane: fn(&str) -> String,
    pub new_setup: &'static str,
    pub growth: &'static str,
    pub theory: &'static str,
    pub baseline: &'static str,
    pub full_attention: &'static str,
    pub full_attention_note: &'static str,
    pub one_way_note: &'static str,

    pub badge_pending: &'static str,
    pub badge_pass: &'static str,
    pub badge_fail: &'static str,
    pub badge_pass_detail: fn(&str) -> String,
    pub badge_fail_detail: fn(&str) -> String,

    pub results_title: &'static str,
    pub results_empty: &'static str,
    pub col_lane: &'static str,
    pub col_verified: &'static str,
    pub col_growth: &'static str,
    pub samples: fn(u32, u32) -> String,
    pub would_take: fn(&str) -> String,

    pub hardware_title: &'static str,
    pub hw_gpu_none: &'static str,
    pub hw_gpu_software: &'static str,
    pub hw_gpu_looking: &'static str,
    pub hw_cores: fn(u32) -> String,
    pub hw_simd: &'static str,
    pub hw_isolated: &'static str,
    pub hw_isolated_yes: &'static str,
    pub hw_isolated_no: &'static str,
    pub hw_clock: &'static str,
    pub hw_peak_cpu: &'static str,
    pub hw_peak_gpu: &'static str,
    pub hw_peak_text: fn(&str, &str) -> String,
    pub hw_peak_f16: fn(&str) -> String,
    pub hw_peak_exp: fn(&str) -> String,
    pub hw_clock_step: fn(&str) -> String,
    pub hw_memory: &'static str,
    pub hw_memory_text: fn(&str) -> String,
    pub hw_features: &'static str,
    pub hw_limits: &'static str,
    pub hw_limits_text: fn(&str, &str, &str, &str) -> String,
    pub hw_browser: &'static str,
    pub hw_build: &'static str,
    pub hw_timestamps: &'static str,
    pub hw_subgroups: &'static str,
    pub hw_kernels: &'static str,
    pub hw_kernel_class: fn(&str, u32, bool) -> String,
    pub hw_kernel_measured: &'static str,
    pub hw_kernel_by_rule: &'static str,
    pub hw_f16: &'static str,
    pub hw_none: &'static str,
    pub hw_more: &'static str,

    pub config_title: &'static str,
    pub config_lanes: &'static str,
    pub config_problem: &'static str,
    pub config_run: &'static str,
    pub config_locked: &'static str,
    pub add_lane: &'static str,
    pub search_systems: &'static str,
    pub search_placeholder: &'static str,
    pub search_none: &'static str,
    pub remove_lane: fn(&str) -> String,
    pub about_system: fn(&str) -> String,
    pub lane_backend: fn(&str) -> String,
    pub lane_params: &'static str,
    pub backend_auto: &'static str,
    pub backend_race: &'static str,
    pub field_backend: &'static str,
    /// The label of the choice of a mode.
    pub field_mode: &'static str,
    pub field_lengths_help: &'static str,
    pub field_tokens: &'static str,
    pub field_tokens_help: &'static str,
    /// The lengths of the next race, below their field.
    pub lengths_raced: fn(&str) -> String,
    pub field_width: &'static str,
    pub field_heads: &'static str,
    pub field_batch: &'static str,
    pub field_causal: &'static str,
    pub field_causal_help: &'static str,
    /// Why the form is fixed when decoding.
    pub field_causal_fixed: &'static str,
    /// A system that does not decode: in a word, and with its reason.
    pub no_decode: &'static str,
    pub no_decode_because: fn(&str) -> String,
    pub field_level: &'static str,
    pub level_help: &'static str,
    pub field_threads: &'static str,
    pub field_threads_auto: &'static str,
    pub field_budget: &'static str,
    pub field_seed: &'static str,
    pub reset: &'static str,
    pub error_no_lanes: &'static str,
    pub error_too_many_lanes: fn(usize) -> String,
    pub error_unknown_system: fn(&str) -> String,
    pub error_unknown_param: fn(&str) -> String,
    pub error_twin: &'static str,
    pub error_whole: fn(&str, &str) -> String,
    pub error_number: fn(&str, &str) -> String,
    pub error_flag: &'static str,
    pub error_choice: fn(&str) -> String,
    pub error_divisor: fn(&str, &str) -> String,
    pub error_elements: fn(&str) -> String,
    pub error_threads: fn(u32) -> String,
    pub error_lengths: fn(&str) -> String,
    pub error_lengths_order: &'static str,
    /// Arguments: the number that was probably meant, and its groups as separate lengths.
    pub error_thousands: fn(&str, &str) -> String,
    pub error_too_many_lengths: fn(usize) -> String,

    pub family_attention: &'static str,
    pub family_efficient: &'static str,
    pub family_convolution: &'static str,
    pub family_state_space: &'static str,
    pub family_liquid: &'static str,
    pub family_other: &'static str,

    pub systems_title: &'static str,
    pub systems_intro: &'static str,
    pub system_complexity: &'static str,
    pub system_paper: &'static str,
    pub system_reference: &'static str,
    pub system_params: &'static str,
    pub system_forms: &'static str,
    pub forms_both: &'static str,
    pub system_decodes: &'static str,
    pub system_arxiv: fn(&str) -> String,
    pub system_default: fn(&str) -> String,
    pub system_race: &'static str,
    pub system_loading: &'static str,
    pub system_failed: &'static str,
    pub system_more: &'static str,
    pub retry: &'static str,
    pub copy: &'static str,
    pub pattern_title: &'static str,
    pub pattern_help: &'static str,
    pub pattern_caption: fn(&str, bool, bool) -> String,
    pub pattern_summary: fn(&str, u32, bool) -> String,

    pub help_title: &'static str,
    /// Keys, separated by spaces, and what they do.
    pub help_keys: &'static [(&'static str, &'static str)],
    pub help_note: &'static str,

    pub headline_idle: &'static str,
    pub headline_racing: &'static str,
    pub headline_nothing: &'static str,
    pub warnings_title: &'static str,

    pub waiting_turn: &'static str,
    pub embed_open: &'static str,
    pub embed_one_thread: &'static str,
    pub embed_invalid: &'static str,
    pub embed_title: &'static str,
    pub embed_intro: &'static str,
    pub embed_what: &'static str,
    pub embed_live: &'static str,
    pub embed_recorded: &'static str,
    pub embed_autoplay: &'static str,
    pub embed_code: &'static str,
    pub embed_copy: &'static str,
    pub embed_preview: &'static str,

    pub rest_failed: &'static str,
    pub rest_gone: &'static str,
    pub race_kept: &'static str,
    pub race_lost: &'static str,

    pub update_ready: &'static str,
    pub update_apply: &'static str,

    pub about_title: &'static str,
    pub about: &'static [(&'static str, &'static str)],
    /// How generated tokens are measured.
    pub about_decode: &'static [(&'static str, &'static str)],
    /// Sentences of other crates and scripts in this language by their codes; empty for English, where the code has
    /// them.
    catalogue: &'static [catalogue::Form],
    /// Translations of words in the complexities of systems.
    complexity_words: &'static [phrases::Phrase],
    /// Translations of sentences in older reports and in links, which have no codes.
    phrases: &'static [phrases::Phrase],
    pub bad_link_title: &'static str,
    pub footer: &'static str,
}

impl Text {
    /// A system's complexity with its few words in this language.
    pub fn complexity(&self, complexity: &str) -> String {
        phrases::translate(self.complexity_words, complexity).unwrap_or_else(|| complexity.to_owned())
    }

    /// A sentence of an older report or of a link in this language, if its form is known.
    fn old(&self, english: &str) -> String {
        phrases::translate(self.phrases, english).unwrap_or_else(|| english.to_owned())
    }

    /// The language's part of file names: the primary subtag.
    pub fn tag(&self) -> &'static str {
        self.words.lang.split('-').next().unwrap_or(self.words.lang)
    }

    /// The texts of a mode.
    pub fn of(&self, mode: Task) -> &ModeText {
        match mode {
            Task::Forward => &self.forward,
            Task::Decode { .. } => &self.decode,
        }
    }

    /// Why a system does not decode, as a sentence; `None` where it does.
    pub fn no_decode_of(&self, entry: &SystemEntry) -> Option<String> {
        let why = entry.no_decode.as_ref()?;
        Some((self.no_decode_because)(&self.explain(&why.code, &ReasonArgs::new(), &why.message)))
    }

    /// A family's name.
    pub fn family(&self, family: &str) -> &'static str {
        match family {
            "attention" => self.family_attention,
            "efficient-attention" => self.family_efficient,
            "convolution" => self.family_convolution,
            "state-space" => self.family_state_space,
            "liquid" => self.family_liquid,
            _ => self.family_other,
        }
    }
}
