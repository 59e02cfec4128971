//! English.

use super::Text;

/// English.
pub static ENGLISH: Text = Text {
    words: &chart::words::ENGLISH,
    language: "Language",
    language_failed: |name| format!("The page could not be loaded in {name}."),
    travel: &super::travel::ENGLISH,
    tagline: "Where does attention lose?",
    intro: "Attention’s cost grows with the square of the sequence length, its challengers’ almost linearly. Race them in this tab, on your own hardware, and see where they cross.",
    skip: "Skip to the race",

    start: "Start race",
    again: "Race again",
    starting: "Starting…",
    cancel: "Cancel",
    cancelling: "Stopping…",
    space_hint: "Space",
    esc_hint: "Esc",
    ready: "Ready",
    loading_engine: "Loading the engine…",
    fix_first: "Fix the highlighted fields first",
    doing: |activity| match activity {
        "loading" => "Loading the systems’ code",
        "verifying" => "Verifying",
        "preparing" => "Setting up",
        "warming-up" => "Warming up",
        "sampling" => "Timing",
        "prefilling" => "Timing the prefill of",
        "checking-drift" => "Checking for drift",
        "measuring-roofline" => "Measuring the machine’s peak",
        _ => "Working on",
    },
    time_left: |left| format!("about {left} left"),
    activity: |doing, lane, length| format!("{doing} {lane} at {length}"),
    at_most: |time| format!("at most {time}"),
    announce: |percent, doing, left| format!("{percent}% done. {doing}. About {left} left."),
    announce_start: "The race has started.",
    announce_done: "The race is over.",
    announce_cancelled: "The race was cancelled.",
    hidden_note: "Keep this tab in front: samples taken while it is hidden are discarded and taken again.",
    keep_visible: "Keep this tab in front and the machine idle.",
    was_hidden: "The tab was hidden: samples taken then are discarded and taken again.",
    progress_label: "Progress of the race",

    theme: "Theme",
    theme_auto: "Theme: system",
    theme_light: "Theme: light",
    theme_dark: "Theme: dark",
    close: "Close",
    dismiss: "Dismiss",
    copy_error: "Copy details",
    copied: "Copied",
    restart_engine: "Restart the engine",
    reload: "Reload the page",
    problem_title: "Something went wrong",

    presets: "Ready-made races",
    preset_duel: ("Attention vs Hyena", "The duel of the Hyena paper, layer against layer"),
    preset_both: ("CPU and GPU", "Attention and Hyena on both processors: does the crossover move?"),
    preset_wall: ("The memory wall", "Attention that stores its L×L scores against attention that does not"),
    preset_challengers: (
        "The 2023 challengers",
        "Convolutions and state spaces of 2022 and 2023 against attention",
    ),
    preset_efficient: (
        "Efficient attentions",
        "Windows, hashes, kernels and projections against exact attention",
    ),
    preset_liquid: ("Liquid networks", "Recurrences that step through time, one token after another"),
    preset_everything: ("Everything", "All systems on the best backend of this machine"),
    preset_everything_both: ("Everything, CPU and GPU", "All systems on both backends: the longest race"),
    preset_needs_gpu: "Needs a GPU that this browser can use",

    chart_title: "Time against sequence length",
    chart_help: "Both axes are logarithmic: a straight line is a power law, and its slope is the exponent.",
    chart_keys: "Left and right move along a lane, up and down between lanes.",
    chart_empty: "Press Start to see measurements here.",
    chart_sketch: "Dotted lines show theoretical slopes, not times.",
    chart_no_roofline: "This machine’s peak is measured when a race ends.",
    chart_roofline: "The share is a lane’s least possible time over its median. The least possible time is the longest of the times for its operations, exponentials and bytes at the measured peaks. A lane above 100% kept its data in caches, which are faster than the measured memory, or another program disturbed the measurement of the peak.",
    chart_summary: |lanes, from, to| {
        format!(
            "Log-log chart of {lanes} lanes from {from} to {to} tokens. The results table below has the same numbers."
        )
    },
    views: "View",
    quartiles: "Quartiles",
    time_interval: "Median’s 95% interval",
    versus: "Against attention",
    device_time: "GPU’s own clock",
    tokens: "tokens",
    predicted: "Predicted",
    measured: "Measured",
    key_line: "measured median, whisker: quartiles",
    key_dashed: "predicted by the fitted model",
    key_band: "crossover, 95% interval",
    key_dnf: "dropped out",
    key_fill: "filled: GPU, hollow: CPU",

    lanes_title: "Lanes",
    lanes_at: |length| format!("at {length} tokens"),
    lanes_before: "not raced yet",
    show_lane: |lane| format!("Show {lane} in the chart"),
    new_setup: "Next race:",
    growth: "grows as",
    theory: "theory",
    baseline: "baseline",
    full_attention: "full attention",
    full_attention_note: "At this length its sparse pattern covers every pair of positions: it runs full attention.",
    one_way_note: "This system exists in this form only and always runs in it.",

    badge_pending: "not verified yet",
    badge_pass: "verified",
    badge_fail: "wrong output",
    badge_pass_detail: |deviation| {
        format!("verified against the f64 reference: largest relative deviation {deviation}")
    },
    badge_fail_detail: |deviation| {
        format!(
            "its output differs from the f64 reference (relative deviation {deviation}); it is not ranked"
        )
    },

    results_title: "Results",
    results_caption: |view| {
        format!(
            "{view} of one forward pass: median, with the quartiles and the ratio to attention on the same backend below it; hover for the 95% interval"
        )
    },
    results_empty: "Numbers appear here as they are measured.",
    col_lane: "Lane",
    col_verified: "Verified",
    col_growth: "Growth",
    col_setup: "Set-up",
    col_first: "First run",
    col_setup_help: "Allocation, upload, shader compilation and cached tables at the longest length, timed separately and not part of the results",
    col_first_help: "The first forward pass at the longest length, before any warm-up",
    samples: |kept, discarded| {
        if discarded == 0 {
            format!("{kept} samples")
        } else {
            format!("{kept} samples, {discarded} discarded")
        }
    },
    would_take: |value| format!("≈ {value} predicted"),
    setup_note: "Set-up (allocation, upload, shader compilation, cached tables) and the first, cold run are those of the longest measured length. Neither is part of the results.",

    hardware_title: "This machine",
    hw_gpu_none: "None that this browser can use",
    hw_gpu_software: "software, not a real GPU",
    hw_gpu_looking: "Looking…",
    hw_cores: |n| if n == 1 { "1 core".to_owned() } else { format!("{n} cores") },
    hw_simd: "Instructions",
    hw_isolated: "Isolation",
    hw_isolated_yes: "cross-origin isolated: threads, fine clock",
    hw_isolated_no: "not isolated: one thread, coarse clock",
    hw_clock: "Clock",
    hw_peak_cpu: "CPU’s measured peak",
    hw_peak_gpu: "GPU’s measured peak",
    hw_peak_f16: |flops| format!(" (f16 {flops})"),
    hw_peak_exp: |rate| format!(" · {rate}"),
    hw_peak_text: |flops, bytes| format!("{flops} · copies {bytes}"),
    hw_clock_step: |step| format!("{step} steps"),
    hw_memory: "Memory",
    hw_memory_text: |bytes| format!("{bytes} for CPU lanes"),
    hw_features: "GPU features",
    hw_limits: "GPU limits",
    hw_limits_text: |binding, buffer, shared, invocations| {
        format!(
            "{binding} per binding, {buffer} per buffer, {shared} shared memory, {invocations} invocations per workgroup"
        )
    },
    hw_browser: "Browser",
    hw_build: "Version",
    hw_timestamps: "timestamps",
    hw_subgroups: "subgroups",
    hw_kernels: "Kernels",
    hw_kernel_class: |kernel, d_head, causal| {
        let causal = if causal { ", causal" } else { "" };
        format!("{kernel}, head dimension {d_head}{causal}")
    },
    hw_kernel_measured: "the fastest measured",
    hw_kernel_by_rule: "chosen by rule",
    hw_f16: "f16",
    hw_none: "none",
    hw_more: "Details",

    config_title: "Set up the race",
    config_lanes: "Lanes",
    config_problem: "Problem",
    config_run: "Run",
    config_locked: "for the next race",
    add_lane: "Add a lane",
    search_systems: "Search systems",
    search_placeholder: "hyena, linear, state space…",
    search_none: "No system matches.",
    remove_lane: |lane| format!("Remove {lane}"),
    about_system: |system| format!("About {system}"),
    lane_backend: |lane| format!("Backend of {lane}"),
    lane_params: "Parameters",
    backend_auto: "Best",
    backend_race: "same as race",
    field_backend: "Backend",
    field_lengths: "Sequence lengths",
    field_lengths_help: "256..16384 doubles; or a list: 256, 384, 512",
    lengths_raced: |lengths| format!("Races {lengths}"),
    field_width: "Width",
    field_heads: "Heads",
    field_batch: "Batch",
    field_causal: "Causal",
    field_causal_help: "Outputs see earlier tokens only, as in language models",
    field_level: "Level",
    level_help: "Core: the mixing alone. Layer: with all projections.",
    field_threads: "CPU threads",
    field_threads_auto: "auto",
    field_budget: "Budget (s)",
    field_seed: "Seed",
    reset: "Reset",
    summary: |lanes, lengths, width, level| {
        format!("{lanes} lanes · {lengths} tokens · width {width} · {level}")
    },
    error_no_lanes: "Choose at least one lane",
    error_too_many_lanes: |max| format!("At most {max} lanes can race"),
    error_unknown_system: |name| format!("This build has no system “{name}”"),
    error_unknown_param: |name| format!("This system has no parameter “{name}”"),
    error_twin: "This lane appears twice",
    error_whole: |low, high| format!("A whole number from {low} to {high}"),
    error_number: |low, high| format!("A number from {low} to {high}"),
    error_flag: "true or false",
    error_choice: |choices| format!("One of {choices}"),
    error_divisor: |width, divisors| format!("Must divide the width, {width}: {divisors}…"),
    error_elements: |longest| format!("At most {longest} for this batch and width"),
    error_threads: |max| format!("Leave empty for all, or a whole number from 1 to {max}"),
    error_lengths: |max| format!("Whole numbers from 1 to {max}, such as 256..16384 or 256, 384, 512"),
    error_lengths_order: "A range goes from short to long, such as 256..16384",
    error_thousands: |meant, apart| {
        format!("Did you mean {meant}? Write thousands without a separator, and separate lengths as {apart}")
    },
    error_too_many_lengths: |max| format!("At most {max} lengths"),

    family_attention: "Attention",
    family_efficient: "Efficient attention",
    family_convolution: "Long convolution",
    family_state_space: "State space",
    family_liquid: "Liquid",
    family_other: "Other",

    systems_title: "The systems",
    systems_intro: "Every lane is the published algorithm, checked against vectors computed by its authors’ code.",
    system_complexity: "Cost",
    system_paper: "Paper",
    system_reference: "Reference code",
    system_params: "Parameters",
    system_forms: "Forms",
    forms_both: "causal and bidirectional",
    system_arxiv: |number| format!("arXiv {number}"),
    system_default: |value| format!("default {value}"),
    system_race: "Race it",
    system_loading: "Loading…",
    system_failed: "The page of this system could not be loaded.",
    system_more: "How it is built here, deviations, limits",
    retry: "Try again",
    copy: "Copy",
    pattern_title: "Which inputs each output sees",
    pattern_help: "Computed, not drawn: each column replaces some input tokens and runs the system’s reference implementation again at the paper’s parameters and random weights; the stronger a row, from the first output at the top to the last, is coloured, the more it changed. Logarithmic; blank is no change at all.",
    pattern_caption: |length, causal, held| {
        let form = if causal { "causal" } else { "bidirectional" };
        let held = if held { ", hash held fixed" } else { "" };
        format!("{length} tokens, {form}{held}")
    },
    pattern_summary: |caption, share, later| {
        let later = if later { "outputs also see later inputs" } else { "no output sees a later input" };
        format!("{caption}: {share}% of all pairs of output and input are seen; {later}")
    },

    help_title: "Keyboard shortcuts",
    help_keys: &[
        ("Space", "Start the race, or stop it"),
        ("Esc", "Stop the race, or close the open dialog"),
        ("g", "Go to the race"),
        ("c", "Go to the set-up"),
        ("r", "Go to the results"),
        ("s", "Go to the systems"),
        ("← →", "In the chart: along a lane. In the views: to the next one"),
        ("↑ ↓", "In the chart: from lane to lane"),
        ("Home End", "In the chart: to a lane’s first and last point"),
        ("?", "Show this list"),
    ],
    help_note: "Everything can be reached with Tab. Letters and Space do nothing while you type in a field.",

    headline_idle: "Start the race to find out on this machine.",
    headline_racing: "Racing…",
    headline_nothing: "Nothing was measured.",
    warnings_title: "Before you trust these numbers",

    waiting_turn: "Waiting for another race in this browser to end",
    embed_open: "Open in Crossover",
    embed_one_thread: "One thread and a coarser clock, because this browser does not isolate frames here.",
    embed_invalid: "This race can’t run as requested.",
    embed_title: "Embed",
    embed_intro: "This HTML puts the race into any page. Readers see a still image until they press it.",
    embed_what: "What is shown",
    embed_live: "The race, to run",
    embed_recorded: "The result above",
    embed_autoplay: "Start once it is in view",
    embed_code: "HTML to paste",
    embed_copy: "Copy",
    embed_preview: "Preview",

    rest_failed: "A part of the page could not be loaded: results, links, sharing and past runs need it. Check the connection. If it works, there may be a newer version: reload the page to get it.",

    rest_gone: "A newer version of Crossover was put online since this page was opened. The chart, results, links, sharing and past runs of this page can no longer be loaded; reload the page to get the new version.",
    race_kept: "The race is stored among the past runs.",
    race_lost: "The race could not be stored, because this browser stores nothing for this page: reloading loses it.",

    update_ready: "A newer version of Crossover is ready.",
    update_apply: "Reload to use it",

    about_title: "How it measures",
    about: &[
        (
            "Equal conditions",
            "All lanes get the same input, seed, width, heads and precision (f32), and run the forward pass of the whole layer or of its core. Attention is a tiled kernel with online softmax, not a strawman; the kernel that stores all L×L scores is a separate lane.",
        ),
        (
            "Correctness first",
            "Every lane’s output is compared with a plain f64 reference before it is timed, and parts of the timed output, drawn from the race’s seed, are compared again. A lane with a wrong output is marked and never ranked.",
        ),
        (
            "Interleaved rounds",
            "Lanes take turns, in random order, so that heat and other programs affect all lanes equally. After warm-up, samples are taken until they agree; each lasts many ticks of this browser’s clock, whose step is measured. The first length is measured again at the end, and drift is reported.",
        ),
        (
            "Medians and their limits",
            "Numbers are medians, whiskers are quartiles, and intervals are 95% bootstrap intervals over the set-ups and samples of this run: they do not cover differences between days or browsers. A lane is called faster or slower only where the interval of the ratio excludes 1 and the difference is a percent or more; otherwise the page says “undecided”.",
        ),
        (
            "What is not timed",
            "Set-up that inference would cache (allocation, upload, compilation, filters that depend on weights only) is timed separately and shown. All work that depends on the input is timed.",
        ),
        (
            "Predictions",
            "Dashed lines extrapolate a model fitted to the measured times. A lane that would exceed its time budget or the memory limit drops out, and the page shows the reason.",
        ),
    ],
    catalogue: &[],
    complexity_words: &[],
    phrases: &[],
    bad_link_title: "The link could not be read",
    footer: "Everything runs in this tab. Nothing is uploaded.",
};
