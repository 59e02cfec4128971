//! Strings in a link. Frequent strings are stored as an index into a table that only grows at its end; all other
//! strings are listed once, at the beginning of the link. A link made before a word was added contains the string
//! itself and stays readable.

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
    // Words that occur as parameter values.
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
    "kind",
    "allcombs",
    "chunks_before",
    "chunks_after",
    "sse2",
    "windows x86_64",
    "linux x86_64",
    "macos aarch64",
];

/// Index of the first string that a link lists itself.
const FIRST_OWN: usize = 128;
const _: () = assert!(WORDS.len() <= FIRST_OWN);

/// Phrases that are stored as control characters, which strings never contain: U+0001, U+0002, …. Append only, at most
/// 31. Of two phrases that match a text, the earlier one is used.
const PHRASES: &[&str] = &[
    "Mozilla/5.0 (",
    ") AppleWebKit/537.36 (KHTML, like Gecko) Chrome/",
    ".0.0.0 Safari/537.36",
    ") AppleWebKit/605.1.15 (KHTML, like Gecko) Version/",
    " Safari/605.1.15",
    ") Gecko/20100101 Firefox/",
    "Macintosh; Intel Mac OS X 10_15_7",
    "Macintosh; Intel Mac OS X 10.15",
    "Windows NT 10.0; Win64; x64",
    "X11; Linux x86_64",
    "Linux; Android 10; K",
    "iPhone; CPU iPhone OS ",
    " like Mac OS X",
    " Mobile/15E148",
    ".0.0.0 Mobile Safari/537.36",
    " Edg/",
    ": the first length took ",
    " times as long when it was measured again at the end; let the machine cool down, close other programs, and race \
     again",
    " samples were thrown away because the tab was hidden or the clock jumped; keep the tab in front while it races",
    "the clock moves in steps of ",
    " ms, so short times are coarse",
    "the GPU is emulated in software: its times say nothing of real GPUs",
    "the race was stopped before its end; what was measured stands",
    "needs ",
    " MiB; ",
    " MiB are available",
];
const _: () = assert!(PHRASES.len() <= 31);

/// Longest string after expansion, in bytes: more than the longest text of a report.
const MAX_EXPANDED: usize = 2048;

fn phrases() -> impl Iterator<Item = (char, &'static str)> {
    ('\u{1}'..='\u{1f}').zip(PHRASES.iter().copied())
}

fn shorten(text: &str) -> String {
    phrases()
        .fold(text.to_owned(), |text, (mark, phrase)| text.replace(phrase, mark.encode_utf8(&mut [0; 4])))
}

fn expand(text: &str) -> Result<String, LinkError> {
    let mut expanded = String::new();
    for character in text.chars() {
        match phrases().find(|(mark, _)| *mark == character) {
            Some((_, phrase)) => expanded.push_str(phrase),
            None if character < ' ' => return Err(LinkError::content("a phrase of a newer version")),
            None => expanded.push(character),
        }
        if expanded.len() > MAX_EXPANDED {
            return Err(LinkError::content("a text that is too long"));
        }
    }
    Ok(expanded)
}

/// Strings of a link being written.
#[derive(Default)]
pub(super) struct Writer(Vec<String>);

impl Writer {
    /// The index that stands for `text`.
    pub(super) fn put(&mut self, text: &str) -> u32 {
        let known = WORDS.iter().position(|word| *word == text);
        let index = known.unwrap_or_else(|| {
            let text = shorten(text);
            let own = self.0.iter().position(|own| *own == text).unwrap_or_else(|| {
                self.0.push(text);
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

/// Strings of a link being read.
pub(super) struct Reader<'a>(pub(super) &'a [String]);

impl Reader<'_> {
    /// The string with this index.
    pub(super) fn get(&self, index: u32) -> Result<String, LinkError> {
        let index = index as usize;
        let newer = || LinkError::content("a word of a newer version");
        match index.checked_sub(FIRST_OWN) {
            None => WORDS.get(index).map(|word| (*word).to_owned()).ok_or_else(newer),
            Some(own) => expand(self.0.get(own).ok_or_else(newer)?),
        }
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
        // Version 1 as released. The fixtures check all other words.
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

    #[test]
    fn phrases_are_marked_and_put_back() {
        let agent = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/156.0.0.0 Safari/537.36";
        assert_eq!(shorten(agent), "\u{1}\u{a}\u{2}156\u{3}");
        for text in [agent, "", "plain", "needs 5120 MiB; 1024 MiB are available", "größer"] {
            assert_eq!(expand(&shorten(text)).as_deref(), Ok(text));
        }
        for (index, phrase) in PHRASES.iter().enumerate() {
            assert_eq!(shorten(phrase).chars().map(u32::from).collect::<Vec<_>>(), [index as u32 + 1]);
        }
    }

    #[test]
    fn fault_22_phrases_do_not_grow_into_a_bomb() {
        assert!(expand(&"\u{12}".repeat(10)).is_ok());
        assert!(expand(&"\u{12}".repeat(1000)).is_err());
        assert!(expand("\u{1f}").is_err() && expand("\0").is_err());
    }
}
