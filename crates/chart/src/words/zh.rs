//! Simplified Chinese.

use super::{Wording, Words};

/// Simplified Chinese. Reasons of points stay in English: only the page has the catalogue with their translations.
pub const CHINESE: Words = Words {
    lang: "zh-Hans",
    name: "Crossover",
    reason: super::message,
    outcome: |outcome| match outcome {
        "memory" => "内存不足",
        "time-budget" => "超出时间预算",
        "device-limit" => "设备上限",
        "device-lost" => "GPU 丢失",
        "no-backend" => "没有 GPU",
        "unsupported" => "不支持",
        "not-verified" => "输出有误",
        "cancelled" => "已取消",
        _ => "失败",
    },
    metric_gflops: "GFLOP/s",
    metric_bandwidth: "GB/s",
    metric_memory: "内存",
    metric_roofline: "Roofline",
    metric_state: "状态",
    metric_prefill: "预填充",
    axis_gflops: "FLOP/s（按闭式公式）",
    axis_bandwidth: "字节/s（按闭式公式）",
    axis_roofline: "占实测峰值的份额",
    axis_state: "整个批次的状态大小",
    axis_prefill: "首词元时间（预填充）",
    memory_limit: |bytes| format!("CPU 内存上限 {bytes}"),
    crossover_label: |length| format!("交叉点 {length}"),
    interval: |low, high| {
        if low == high { format!("（95%：{low}）") } else { format!("（95%：{low}–{high}）") }
    },
    key_full: "外圈：此长度下执行全注意力",
    faster: |ratio| format!("快 {ratio}"),
    slower: |ratio| format!("慢 {ratio}"),
    about_equal: |interval| format!("相差无几（{interval}）"),
    undecided: |interval| format!("未分胜负（{interval}）"),
    no_interval: |ratio| format!("速度为 {ratio}，无置信区间"),
    needs: |time| format!("约需 {time}"),
    and_full_attention: |point| format!("{point}；此处其稀疏模式覆盖所有位置对，即全注意力"),
    causal_only: "仅因果",
    bidirectional_only: "仅双向",
    hw_gpu: "GPU",
    hw_gpu_unnamed: "未命名的适配器",
    hw_cpu: "CPU",
    hw_threads: |n| format!("{n} 线程"),
    backend_cpu: "CPU",
    backend_gpu: "GPU",
    level_core: "核心",
    level_layer: "整层",
    so_far: |sentence| format!("目前：{sentence}"),
    this_cpu: "这台机器的 CPU",
    this_gpu: "这台机器的 GPU",
    this_software_gpu: "软件模拟的 GPU（不是本机真正的 GPU）",
    figure_median: |metric| format!("{metric}，中位数与四分位数"),
    figure_work: |metric, level, form| format!("{metric}；{level}，{form}"),
    figure_problem: |width, heads, batch, seed| {
        format!("宽度 {width}，头数 {heads}，批大小 {batch}，f32，种子 {seed}")
    },
    figure_tokens: |tokens| format!("每次运行生成 {tokens} 个词元"),
    causal: "因果",
    bidirectional: "双向",
    figure_software: "软件模拟",
    forward: Wording {
        metric_time: "时间",
        metric_throughput: "吞吐量",
        axis_length: "序列长度（词元）",
        axis_time: "一次前向计算的时间",
        axis_throughput: "每秒词元数",
        axis_memory: "峰值内存",
        point_description: |lane, length, value, low, high| {
            if low == high {
                format!("{lane}，{length} 个词元：{value}")
            } else {
                format!("{lane}，{length} 个词元：{value}，四分位数 {low} 至 {high}")
            }
        },
        dnf_description: |lane, length, reason, message| {
            if message.is_empty() {
                format!("{lane} 在 {length} 个词元处退赛：{reason}")
            } else {
                format!("{lane} 在 {length} 个词元处退赛：{reason}。{message}")
            }
        },
        crossover_description: |lane, length, interval| {
            format!("{lane} 在 {length} 个词元处超过注意力 {interval}")
        },
        overtakes: |lane, length, interval, place| {
            format!("在{place}上，{lane} 在约 {length} 个词元处{interval}超过注意力。")
        },
        overtakes_first: |lane, length, interval, place| {
            format!("在{place}上，{lane} 最先超过注意力，约在 {length} 个词元处{interval}。")
        },
        always_ahead: |lane, from, place| {
            format!("在{place}上，{lane} 从 {from} 个词元（本场最短长度）起就领先注意力。")
        },
        would_overtake: |lane, length, interval, last| {
            format!("在 {last} 个词元处注意力仍领先 {lane}；拟合曲线约在 {length} 处{interval}相交。")
        },
        would_overtake_again: |lane, length, interval, last| {
            format!(
                "{lane} 在较短长度上领先，而在 {last} 个词元处注意力领先；拟合曲线约在 {length} 处{interval}再次相交。"
            )
        },
        fits_cross: |lane, length, interval, last| {
            format!(
                "在 {last} 个词元之外，拟合曲线约在 {length} 处{interval}相交：{lane} 预计在那里超过注意力。"
            )
        },
        ahead_by: |lane, from, place| format!("在{place}上，{lane} 最迟从 {from} 个词元起领先注意力。"),
        undecided_overtaking: |lane, last, place| {
            format!("未分胜负：在{place}上，直到 {last} 个词元，无法判定 {lane} 是否超过注意力。")
        },
        undecided_behind: |lane, last, place| {
            format!(
                "在{place}上，注意力在 {last} 个词元处领先；{lane} 在更长的长度上是否会超过，尚无法判定。"
            )
        },
        undecided_ahead: |lane, last, place, challengers| {
            let among =
                if challengers > 1 { format!("在 {challengers} 个挑战者中") } else { String::new() };
            format!("在{place}上，{lane} 在 {last} 个词元处领先，但{among}优势不够明确，无法给出交叉点。")
        },
        no_overtaking: |lane, last, place| {
            format!("在{place}上，直到 {last} 个词元，未发现 {lane} 超过注意力。")
        },
        stays_ahead: |baseline, last, place| {
            format!("在{place}上，{baseline} 直到 {last} 个词元都保持领先。")
        },
        ahead_before: |lane, last, place| {
            format!(
                "在{place}上，{lane} 在较短长度上领先，但在 {last} 个词元处注意力领先，且未发现更长处的交叉点。"
            )
        },
        faster_at: |lane, length, ratio, interval| {
            format!("在 {length} 个词元处，{lane} 快 {ratio}{interval}。")
        },
        slower_at: |lane, length, ratio, interval| {
            format!("在 {length} 个词元处，{lane} 慢 {ratio}{interval}。")
        },
        undecided_at: |lane, length, interval| {
            format!("在 {length} 个词元处，差异在不确定范围之内：{lane} 的速度是注意力的 {interval}。")
        },
        ratio_at: |lane, length, ratio| {
            format!("在 {length} 个词元处，{lane} 的用时是注意力的 {ratio}；此结果未附带该比值的区间。")
        },
        tally: |ahead, undecided, all| {
            let open =
                if undecided == 0 { String::new() } else { format!("，另有 {undecided} 个未分胜负") };
            format!("{all} 个挑战者中有 {ahead} 个在本场长度内超过注意力{open}。")
        },
        only_lane: |lane, time, length| format!("{lane} 在 {length} 个词元处用时 {time}。"),
        close_pair: |a, b, length, interval| {
            format!("{a} 与 {b} 在 {length} 个词元处未分胜负：{a} 的速度是 {b} 的 {interval}。")
        },
        pair_without_interval: |a, time_a, b, time_b, length| {
            format!("在 {length} 个词元处，{a} 用时 {time_a}，{b} 用时 {time_b}；此结果未附带区间。")
        },
        fastest: |lane, length, ratio, second| {
            format!("在 {length} 个词元处 {lane} 最快，比 {second} 快 {ratio}。")
        },
    },
    decode: super::zh_decode::WORDING,
};
