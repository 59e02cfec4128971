//! Races of generated tokens in Simplified Chinese.

use super::Wording;

/// The words.
pub(super) const WORDING: Wording = Wording {
    metric_time: "每词元时间",
    metric_throughput: "词元/秒",
    axis_length: "上下文长度（词元）",
    axis_time: "生成每个词元的时间",
    axis_throughput: "每秒生成的词元数",
    axis_memory: "解码时的峰值内存",
    point_description: |lane, length, value, low, high| {
        if low == high {
            format!("{lane}，上下文 {length} 个词元：{value}")
        } else {
            format!("{lane}，上下文 {length} 个词元：{value}，四分位数 {low} 至 {high}")
        }
    },
    dnf_description: |lane, length, reason, message| {
        let message = if message.is_empty() { String::new() } else { format!("。{message}") };
        format!("{lane} 在上下文 {length} 个词元处退赛：{reason}{message}")
    },
    crossover_description: |lane, length, interval| {
        format!("上下文超过 {length} 个词元后，{lane} 生成下一个词元快于注意力 {interval}")
    },
    overtakes: |lane, length, interval, place| {
        format!("在{place}上，上下文超过约 {length} 个词元后{interval}，{lane} 生成下一个词元快于注意力。")
    },
    overtakes_first: |lane, length, interval, place| {
        format!(
            "在{place}上，{lane} 最先在生成下一个词元时快于注意力，约在上下文 {length} 个词元处{interval}。"
        )
    },
    always_ahead: |lane, from, place| {
        format!("在{place}上，从上下文 {from} 个词元（本场最短）起，{lane} 生成下一个词元就快于注意力。")
    },
    would_overtake: |lane, length, interval, last| {
        format!(
            "上下文为 {last} 个词元时，注意力生成下一个词元仍快于 {lane}；拟合曲线约在 {length} 处{interval}相交。"
        )
    },
    would_overtake_again: |lane, length, interval, last| {
        format!(
            "上下文较短时 {lane} 生成下一个词元更快，上下文为 {last} 个词元时注意力更快；拟合曲线约在 {length} 处{interval}再次相交。"
        )
    },
    fits_cross: |lane, length, interval, last| {
        format!(
            "上下文超过 {last} 个词元之后，拟合曲线约在 {length} 处{interval}相交：预计从那里起 {lane} 生成下一个词元快于注意力。"
        )
    },
    ahead_by: |lane, from, place| {
        format!("在{place}上，最迟从上下文 {from} 个词元起，{lane} 生成下一个词元快于注意力。")
    },
    undecided_overtaking: |lane, last, place| {
        format!(
            "未分胜负：在{place}上，直到上下文 {last} 个词元，无法判定 {lane} 生成下一个词元是否快于注意力。"
        )
    },
    undecided_behind: |lane, last, place| {
        format!(
            "在{place}上，上下文为 {last} 个词元时注意力生成下一个词元更快；上下文更长时 {lane} 是否会更快，尚无法判定。"
        )
    },
    undecided_ahead: |lane, last, place, challengers| {
        let among =
            if challengers > 1 { format!("在 {challengers} 个挑战者中") } else { String::new() };
        format!(
            "在{place}上，上下文为 {last} 个词元时 {lane} 生成下一个词元快于注意力，但{among}优势不够明确，无法给出交叉点。"
        )
    },
    no_overtaking: |lane, last, place| {
        format!("在{place}上，直到上下文 {last} 个词元，未发现 {lane} 生成下一个词元快于注意力。")
    },
    stays_ahead: |baseline, last, place| {
        format!("在{place}上，直到上下文 {last} 个词元，{baseline} 生成下一个词元始终更快。")
    },
    ahead_before: |lane, last, place| {
        format!(
            "在{place}上，上下文较短时 {lane} 生成下一个词元更快，但上下文为 {last} 个词元时注意力更快，且未发现更长处的交叉点。"
        )
    },
    faster_at: |lane, length, ratio, interval| {
        format!("上下文为 {length} 个词元时，{lane} 生成下一个词元快 {ratio}{interval}。")
    },
    slower_at: |lane, length, ratio, interval| {
        format!("上下文为 {length} 个词元时，{lane} 生成下一个词元慢 {ratio}{interval}。")
    },
    undecided_at: |lane, length, interval| {
        format!(
            "上下文为 {length} 个词元时，差异在不确定范围之内：{lane} 生成下一个词元的速度是注意力的 {interval}。"
        )
    },
    ratio_at: |lane, length, ratio| {
        format!(
            "上下文为 {length} 个词元时，{lane} 生成下一个词元的用时是注意力的 {ratio}；此结果未附带该比值的区间。"
        )
    },
    tally: |ahead, undecided, all| {
        let open =
            if undecided == 0 { String::new() } else { format!("，另有 {undecided} 个未分胜负") };
        format!("{all} 个挑战者中有 {ahead} 个在本场上下文长度内超过注意力{open}。")
    },
    only_lane: |lane, time, length| format!("上下文为 {length} 个词元时，{lane} 生成下一个词元用时 {time}。"),
    close_pair: |a, b, length, interval| {
        format!(
            "上下文为 {length} 个词元时，{a} 与 {b} 生成下一个词元未分胜负：{a} 的速度是 {b} 的 {interval}。"
        )
    },
    pair_without_interval: |a, time_a, b, time_b, length| {
        format!(
            "上下文为 {length} 个词元时，生成下一个词元 {a} 用时 {time_a}，{b} 用时 {time_b}；此结果未附带区间。"
        )
    },
    fastest: |lane, length, ratio, second| {
        format!("上下文为 {length} 个词元时 {lane} 生成下一个词元最快，比 {second} 快 {ratio}。")
    },
};
