//! English.

use super::ModeText;

/// Races of forward passes.
pub const FORWARD: ModeText = ModeText {
    name: ("Whole sequence", "The time of one forward pass over L tokens."),
    field_lengths: "Sequence lengths",
    activity: |doing, lane, length| format!("{doing} {lane} at {length}"),
    summary: |lanes, lengths, width, level| {
        format!("{lanes} lanes · {lengths} tokens · width {width} · {level}")
    },
    chart_title: "Time against sequence length",
    chart_summary: |lanes, from, to| {
        format!(
            "Log-log chart of {lanes} lanes from {from} to {to} tokens. The results table below has the same numbers."
        )
    },
    tokens: "tokens",
    lanes_at: |length| format!("at {length} tokens"),
    results_caption: |view| {
        format!(
            "{view} of one forward pass: median, with the quartiles and the ratio to attention on the same backend below it; hover for the 95% interval"
        )
    },
    growth_help: "",
    columns: &[
        (
            "Set-up",
            "Allocation, upload, shader compilation and cached tables at the longest length, timed separately and not part of the results",
        ),
        ("First run", "The first forward pass at the longest length, before any warm-up"),
    ],
    columns_note: "Set-up (allocation, upload, shader compilation, cached tables) and the first, cold run are those of the longest measured length. Neither is part of the results.",
};

/// Races of generated tokens.
pub const DECODE: ModeText = ModeText {
    name: (
        "Next token",
        "The time of each generated token after a context of t tokens, with its true state: a key/value cache, or a state of fixed size.",
    ),
    field_lengths: "Context lengths",
    activity: |doing, lane, length| format!("{doing} {lane} after {length} tokens"),
    summary: |lanes, lengths, width, level| {
        format!("{lanes} lanes · next token after {lengths} · width {width} · {level}")
    },
    chart_title: "Time per token against context length",
    chart_summary: |lanes, from, to| {
        format!(
            "Log-log chart of {lanes} lanes that generate tokens after contexts of {from} to {to} tokens. The results table below has the same numbers."
        )
    },
    tokens: "tokens of context",
    lanes_at: |length| format!("after {length} tokens of context"),
    results_caption: |view| {
        format!(
            "{view} after each context: median, with the quartiles and the ratio to attention on the same backend below it; hover for the 95% interval"
        )
    },
    growth_help: "0 for a constant state, towards 1 for a cache",
    columns: &[
        ("Tokens/s", "Tokens generated per second by the whole batch"),
        ("State", "Bytes of state for the whole batch, with room for the context and the generated tokens"),
        ("Prefill", "Time to the first token: the parallel form processes the context"),
        (
            "Slowest token",
            "The longest time of a single token in one run; absent where the clock is too coarse to time single tokens",
        ),
        (
            "Set-up",
            "Allocation, cached tables and filling the state, timed separately and not part of the results",
        ),
    ],
    columns_note: "The last columns show values at the longest measured context. Some systems work in bursts: most tokens are cheap, and a few do the work for many. The mean covers all of this work, and the slowest token shows the burst.",
};

/// How generated tokens are measured.
pub const ABOUT: &[(&str, &str)] = &[
    (
        "The next token",
        "“Next token” shows the time of a generated token after a context: the mean over the tokens of a run. In a batch, a step generates one token for every sequence, and its time is that of the whole step.",
    ),
    (
        "True states",
        "Each lane keeps the state that its algorithm needs: attention the keys and values of all tokens, a long convolution its past inputs, a recurrence a state of fixed size. It has room for the context and the generated tokens, and its bytes are counted. The output for each token is that of the forward pass over all tokens so far, and outputs are compared with the f64 reference.",
    ),
    (
        "Dependent steps",
        "A token’s input contains the output for the token before it, so no step can be computed ahead. A step is short and mostly waits for memory: weights and state are read again for every token.",
    ),
    (
        "What a token’s time excludes",
        "The time of a token excludes set-up, filling the state with the context, and the prefill. The prefill is the time to the first token: the parallel form processes the context and computes the outputs for all of its tokens. It is timed separately.",
    ),
    (
        "Systems without a next token",
        "Where an output depends on later tokens, or where only a form over the whole sequence is published, nothing can be generated: the lane ends as unsupported, with the reason.",
    ),
];
