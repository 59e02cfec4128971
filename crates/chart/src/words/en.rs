//! English.

use super::{Wording, Words};

/// English.
pub static ENGLISH: Words = Words {
    lang: "en",
    name: "Crossover",
    reason: super::message,
    outcome: |outcome| match outcome {
        "memory" => "out of memory",
        "time-budget" => "time budget",
        "device-limit" => "device limit",
        "device-lost" => "GPU lost",
        "no-backend" => "no GPU",
        "unsupported" => "unsupported",
        "not-verified" => "wrong output",
        "cancelled" => "cancelled",
        _ => "failed",
    },
    metric_gflops: "GFLOP/s",
    metric_bandwidth: "GB/s",
    metric_memory: "Memory",
    metric_roofline: "Roofline",
    metric_state: "State",
    metric_prefill: "Prefill",
    axis_gflops: "FLOP/s, by closed form",
    axis_bandwidth: "Bytes/s, by closed form",
    axis_roofline: "Share of the measured peak",
    axis_state: "State of the whole batch",
    axis_prefill: "Time to first token (prefill)",
    memory_limit: |bytes| format!("CPU memory limit {bytes}"),
    crossover_label: |length| format!("crossover {length}"),
    interval: |low, high| {
        if low == high { format!("(95%: {low})") } else { format!("(95%: {low}–{high})") }
    },
    key_full: "ringed: runs full attention at this length",
    faster: |ratio| format!("{ratio} faster"),
    slower: |ratio| format!("{ratio} slower"),
    about_equal: |interval| format!("about equal ({interval})"),
    undecided: |interval| format!("undecided ({interval})"),
    no_interval: |ratio| format!("{ratio} as fast, no interval"),
    needs: |time| format!("needs about {time}"),
    and_full_attention: |point| {
        format!("{point}; its sparse pattern covers every pair of positions here: full attention")
    },
    causal_only: "causal only",
    bidirectional_only: "bidirectional only",
    hw_gpu: "GPU",
    hw_gpu_unnamed: "Unnamed adapter",
    hw_cpu: "CPU",
    hw_threads: |n| if n == 1 { "1 thread".to_owned() } else { format!("{n} threads") },
    backend_cpu: "CPU",
    backend_gpu: "GPU",
    level_core: "Core",
    level_layer: "Whole layer",
    so_far: |sentence| format!("So far: {sentence}"),
    this_cpu: "this machine’s CPU",
    this_gpu: "this machine’s GPU",
    this_software_gpu: "a software GPU (not this machine’s own)",
    figure_median: |metric| format!("{metric}, median with quartiles"),
    figure_work: |metric, level, form| format!("{metric}; {level}, {form}"),
    figure_problem: |width, heads, batch, seed| {
        format!("width {width}, heads {heads}, batch {batch}, f32, seed {seed}")
    },
    figure_tokens: |tokens| format!("{tokens} generated tokens per run"),
    causal: "causal",
    bidirectional: "bidirectional",
    figure_software: "emulated in software",
    forward: Wording {
        metric_time: "Time",
        metric_throughput: "Throughput",
        axis_length: "Sequence length (tokens)",
        axis_time: "Time of one forward pass",
        axis_throughput: "Tokens per second",
        axis_memory: "Peak memory",
        point_description: |lane, length, value, low, high| {
            if low == high {
                format!("{lane}, {length} tokens: {value}")
            } else {
                format!("{lane}, {length} tokens: {value}, quartiles {low} to {high}")
            }
        },
        dnf_description: |lane, length, reason, message| {
            if message.is_empty() {
                format!("{lane} dropped out at {length} tokens: {reason}")
            } else {
                format!("{lane} dropped out at {length} tokens: {reason}. {message}")
            }
        },
        crossover_description: |lane, length, interval| {
            format!("{lane} gets ahead of attention at {length} tokens {interval}")
        },
        overtakes: |lane, length, interval, place| {
            format!("{lane} overtakes attention at about {length} tokens{interval} on {place}.")
        },
        overtakes_first: |lane, length, interval, place| {
            format!(
                "{lane} is the first to overtake attention, at about {length} tokens{interval} on {place}."
            )
        },
        always_ahead: |lane, from, place| {
            format!(
                "{lane} is ahead of attention from {from} tokens on, the shortest length raced, on {place}."
            )
        },
        would_overtake: |lane, length, interval, last| {
            format!(
                "Attention is still ahead of {lane} at {last} tokens; the fits cross at about {length}{interval}."
            )
        },
        would_overtake_again: |lane, length, interval, last| {
            format!(
                "{lane} is ahead at shorter lengths, attention at {last} tokens; the fits cross again at about {length}{interval}."
            )
        },
        fits_cross: |lane, length, interval, last| {
            format!(
                "Beyond {last} tokens, the fits cross at about {length}{interval}: {lane} would overtake attention there."
            )
        },
        ahead_by: |lane, from, place| {
            format!("{lane} is ahead of attention from {from} tokens on at the latest, on {place}.")
        },
        undecided_overtaking: |lane, last, place| {
            format!("Undecided: whether {lane} overtakes attention up to {last} tokens on {place}.")
        },
        undecided_behind: |lane, last, place| {
            format!(
                "Attention is ahead at {last} tokens on {place}; whether {lane} overtakes beyond that is undecided."
            )
        },
        undecided_ahead: |lane, last, place, challengers| {
            let among =
                if challengers > 1 { format!(" among {challengers} challengers") } else { String::new() };
            format!(
                "{lane} is ahead at {last} tokens on {place}, but not clearly enough{among} to name a crossover."
            )
        },
        no_overtaking: |lane, last, place| {
            format!("{lane} was not found to overtake attention up to {last} tokens on {place}.")
        },
        stays_ahead: |baseline, last, place| {
            format!("{baseline} stays ahead up to {last} tokens on {place}.")
        },
        ahead_before: |lane, last, place| {
            format!(
                "{lane} is ahead at shorter lengths, but attention is ahead at {last} tokens on {place}, and no crossover was found beyond."
            )
        },
        faster_at: |lane, length, ratio, interval| {
            format!("At {length} tokens, {lane} is {ratio} faster {interval}.")
        },
        slower_at: |lane, length, ratio, interval| {
            format!("At {length} tokens, {lane} is {ratio} slower {interval}.")
        },
        undecided_at: |lane, length, interval| {
            format!(
                "At {length} tokens the difference is within the uncertainty: {lane} is {interval} as fast as attention."
            )
        },
        ratio_at: |lane, length, ratio| {
            format!(
                "At {length} tokens {lane} took {ratio} attention’s time; this result has no interval for the ratio."
            )
        },
        tally: |ahead, undecided, all| {
            let open = match undecided {
                0 => String::new(),
                1 => "; 1 is undecided".to_owned(),
                n => format!("; {n} are undecided"),
            };
            format!("{ahead} of {all} challengers overtake within the lengths raced{open}.")
        },
        only_lane: |lane, time, length| format!("{lane} takes {time} at {length} tokens."),
        close_pair: |a, b, length, interval| {
            format!("Undecided between {a} and {b} at {length} tokens: {a} is {interval} as fast.")
        },
        pair_without_interval: |a, time_a, b, time_b, length| {
            format!("At {length} tokens {a} takes {time_a} and {b} {time_b}; this result has no intervals.")
        },
        fastest: |lane, length, ratio, second| {
            format!("{lane} is the fastest at {length} tokens, {ratio} faster than {second}.")
        },
    },
    decode: super::en_decode::WORDING,
};
