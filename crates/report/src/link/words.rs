//! Strings of a link. Frequent ones are numbers into a table that only ever grows at its end: a link made before a word
//! was added spells it out and stays readable. All others are listed once, at the head of the link.

use super::LinkError;

/// Append only; never reorder, never remove. At most [`FIRST_OWN`] entries.
const WORDS: &[&str] = &[
    // Systems and their titles.
    "attention",
    "attention-naive",
    "hyena",
    "monarch-mixer",
    "bigs",
    "mega",
    "ltc",
    "cfc",
    "liquid-s4",
    "longformer",
    "bigbird",
    "reformer",
    "performer",
    "linformer",
    "Attention",
    "Attention, naive",
    "Hyena",
    "Monarch Mixer",
    "BiGS",
    "Mega",
    "LTC",
    "CfC",
    "Liquid-S4",
    "Longformer",
    "BigBird",
    "Reformer",
    "Performer",
    "Linformer",
    // Parameters.
    "order",
    "filter_order",
    "emb_dim",
    "short_filter_order",
    "units",
    "ode_unfolds",
    "wiring",
    "sparsity_level",
    "mixed_memory",
    "nb_features",
    "ortho_scaling",
    "d_state",
    "mode",
    "liquid_kernel",
    "liquid_degree",
    "rank",
    "share_kv",
    "one_kv_head",
    "backbone_units",
    "backbone_layers",
    "activation",
    "bidirectional",
    "block_size",
    "num_random_blocks",
    "num_ssm",
    "intermediate_size",
    "window",
    "dilation",
    "ema_projection_size",
    "shared_representation_size",
    "chunk_size",
    "use_chunking",
    "attention_activation",
    "normalization_type",
    "relative_positional_bias",
    "chunk_length",
    "num_hashes",
    "num_buckets",
    "nblocks",
    "measure",
    // Words that parameters take.
    "full",
    "ncp",
    "diag",
    "nplr",
    "kb",
    "polyb",
    "default",
    "pure",
    "no_gate",
    "silu",
    "relu",
    "gelu",
    "lecun_tanh",
    "softmax",
    "laplace",
    "relu2",
    "layernorm",
    "scalenorm",
    "simple",
    "rotary",
    // The machine.
    "0.1.0",
    "browser",
    "native",
    "plain",
    "simd128",
    "relaxed-simd",
    "avx2",
    "neon",
    "webgpu",
    "vulkan",
    "metal",
    "dx12",
    // Warnings.
    "drift",
    "discarded",
    "coarse-clock",
    "software-gpu",
    "cancelled",
    "engine-crashed",
    "",
    // Added with the systems that use them.
    "expansion",
    "n_global",
    "part",
    "pre_norm",
    "residual_long_conv",
    "truncation",
    "normalize_before_mega",
    "sse2",
    "windows x86_64",
    "linux x86_64",
    "macos aarch64",
];

/// Number of the first string that a link lists itself.
const FIRST_OWN: usize = 128;
const _: () = assert!(WORDS.len() <= FIRST_OWN);

/// Strings on their way into a link.
#[derive(Default)]
pub(super) struct Writer(Vec<String>);

impl Writer {
    /// The number that stands for `text`.
    pub(super) fn put(&mut self, text: &str) -> u32 {
        let known = WORDS.iter().position(|word| *word == text);
        let index = known.unwrap_or_else(|| {
            let own = self.0.iter().position(|own| own == text).unwrap_or_else(|| {
                self.0.push(text.to_owned());
                self.0.len() - 1
            });
            FIRST_OWN + own
        });
        index as u32
    }

    pub(super) fn finish(self) -> Vec<String> {
        self.0
    }
}

/// Strings of a link that is read.
pub(super) struct Reader<'a>(pub(super) &'a [String]);

impl Reader<'_> {
    /// The string that `index` stands for.
    pub(super) fn get(&self, index: u32) -> Result<String, LinkError> {
        let index = index as usize;
        let found = match index.checked_sub(FIRST_OWN) {
            None => WORDS.get(index).map(|word| (*word).to_owned()),
            Some(own) => self.0.get(own).cloned(),
        };
        found.ok_or_else(|| LinkError::content("a word of a newer version"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_distinct_and_never_move() {
        for (index, word) in WORDS.iter().enumerate() {
            assert_eq!(WORDS.iter().position(|other| other == word), Some(index), "{word}");
        }
        // Version 1 as released: the fixtures check the rest.
        assert_eq!((WORDS[0], WORDS[13], WORDS[28]), ("attention", "linformer", "order"));
    }

    #[test]
    fn unknown_words_are_listed_once_and_read_back() {
        let mut writer = Writer::default();
        let indices = ["hyena", "neuer", "", "neuer", "alter"].map(|word| writer.put(word));
        let own = writer.finish();
        assert_eq!(own, ["neuer", "alter"]);
        let reader = Reader(&own);
        assert_eq!(indices.map(|index| reader.get(index).unwrap()), ["hyena", "neuer", "", "neuer", "alter"]);
        for index in [127, 130, u32::MAX] {
            assert!(reader.get(index).is_err());
        }
    }
}
