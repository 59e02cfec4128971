//! Races of generated tokens in English.

use super::Wording;

/// The words.
pub(super) const WORDING: Wording = Wording {
    metric_time: "Time per token",
    metric_throughput: "Tokens/s",
    axis_length: "Context length (tokens)",
    axis_time: "Time per generated token",
    axis_throughput: "Generated tokens per second",
    axis_memory: "Peak memory while decoding",
    point_description: |lane, length, value, low, high| {
        if low == high {
            format!("{lane}, {length} tokens of context: {value}")
        } else {
            format!("{lane}, {length} tokens of context: {value}, quartiles {low} to {high}")
        }
    },
    dnf_description: |lane, length, reason, message| {
        let message = if message.is_empty() { String::new() } else { format!(". {message}") };
        format!("{lane} dropped out at {length} tokens of context: {reason}{message}")
    },
    crossover_description: |lane, length, interval| {
        format!("{lane}’s next token costs less than attention’s past {length} tokens of context {interval}")
    },
    overtakes: |lane, length, interval, place| {
        format!(
            "Past about {length} tokens of context, {lane}’s next token costs less than attention’s{interval} on {place}."
        )
    },
    overtakes_first: |lane, length, interval, place| {
        format!(
            "Past about {length} tokens of context{interval}, {lane}’s next token is the first to cost less than attention’s, on {place}."
        )
    },
    always_ahead: |lane, from, place| {
        format!(
            "{lane}’s next token costs less than attention’s from {from} tokens of context on, the shortest context raced, on {place}."
        )
    },
    would_overtake: |lane, length, interval, last| {
        format!(
            "After {last} tokens of context, attention’s next token still costs less than {lane}’s; the fits cross at about {length}{interval}."
        )
    },
    would_overtake_again: |lane, length, interval, last| {
        format!(
            "{lane}’s next token costs less after shorter contexts, attention’s after {last} tokens; the fits cross again at about {length}{interval}."
        )
    },
    fits_cross: |lane, length, interval, last| {
        format!(
            "Beyond {last} tokens of context, the fits cross at about {length}{interval}: {lane}’s next token would cost less than attention’s there."
        )
    },
    ahead_by: |lane, from, place| {
        format!(
            "{lane}’s next token costs less than attention’s from {from} tokens of context on at the latest, on {place}."
        )
    },
    undecided_overtaking: |lane, last, place| {
        format!(
            "Undecided: whether {lane}’s next token costs less than attention’s at contexts up to {last} tokens on {place}."
        )
    },
    undecided_behind: |lane, last, place| {
        format!(
            "After {last} tokens of context, attention’s next token costs less on {place}; whether {lane}’s costs less beyond that is undecided."
        )
    },
    undecided_ahead: |lane, last, place, challengers| {
        let among = if challengers > 1 { format!(" among {challengers} challengers") } else { String::new() };
        format!(
            "After {last} tokens of context, {lane}’s next token costs less than attention’s on {place}, but not clearly enough{among} to name a crossover."
        )
    },
    no_overtaking: |lane, last, place| {
        format!(
            "{lane}’s next token was not found to cost less than attention’s up to {last} tokens of context on {place}."
        )
    },
    stays_ahead: |baseline, last, place| {
        format!("{baseline}’s next token stays the cheaper one up to {last} tokens of context on {place}.")
    },
    ahead_before: |lane, last, place| {
        format!(
            "{lane}’s next token costs less after shorter contexts, but attention’s costs less after {last} tokens on {place}, and no crossover was found beyond."
        )
    },
    faster_at: |lane, length, ratio, interval| {
        format!("After {length} tokens of context, {lane}’s next token is {ratio} faster {interval}.")
    },
    slower_at: |lane, length, ratio, interval| {
        format!("After {length} tokens of context, {lane}’s next token is {ratio} slower {interval}.")
    },
    undecided_at: |lane, length, interval| {
        format!(
            "After {length} tokens of context the difference is within the uncertainty: {lane}’s next token is {interval} as fast as attention’s."
        )
    },
    ratio_at: |lane, length, ratio| {
        format!(
            "After {length} tokens of context, {lane}’s next token took {ratio} attention’s time; this result has no interval for the ratio."
        )
    },
    tally: |ahead, undecided, all| {
        let open = match undecided {
            0 => String::new(),
            1 => "; 1 is undecided".to_owned(),
            n => format!("; {n} are undecided"),
        };
        format!("{ahead} of {all} challengers overtake within the contexts raced{open}.")
    },
    only_lane: |lane, time, length| {
        format!("{lane} generates the next token in {time} after {length} tokens of context.")
    },
    close_pair: |a, b, length, interval| {
        format!(
            "Undecided between {a} and {b} for the next token after {length} tokens of context: {a} is {interval} as fast."
        )
    },
    pair_without_interval: |a, time_a, b, time_b, length| {
        format!(
            "After {length} tokens of context, {a} generates the next token in {time_a} and {b} in {time_b}; this result has no intervals."
        )
    },
    fastest: |lane, length, ratio, second| {
        format!(
            "After {length} tokens of context, {lane} is the fastest to generate the next token, {ratio} faster than {second}."
        )
    },
};
