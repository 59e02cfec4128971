//! Simplified Chinese.

use super::ModeText;

/// Races of forward passes.
pub const FORWARD: ModeText = ModeText {
    name: ("整个序列", "对 L 个词元做一次前向计算的时间。"),
    field_lengths: "序列长度",
    activity: |doing, lane, length| format!("正在{doing}：{lane}，长度 {length}"),
    summary: |lanes, lengths, width, level| {
        format!("{lanes} 条赛道 · {lengths} 个词元 · 宽度 {width} · {level}")
    },
    chart_title: "时间与序列长度",
    chart_summary: |lanes, from, to| {
        format!("{lanes} 条赛道从 {from} 到 {to} 个词元的双对数图。下方的结果表包含相同的数据。")
    },
    tokens: "词元",
    lanes_at: |length| format!("{length} 个词元时"),
    results_caption: |view| {
        format!("一次前向计算的{view}：中位数，其下为四分位数及与同一后端上注意力的比值；悬停可查看 95% 区间")
    },
    growth_help: "",
    columns: &[
        ("准备", "最长长度下的分配、上传、着色器编译与缓存表：单独计时，不计入结果"),
        ("首次运行", "最长长度下、预热之前的第一次前向计算"),
    ],
    columns_note: "准备（分配、上传、着色器编译、缓存表）与首次冷运行取自测得的最长长度，二者都不计入结果。",
};

/// Races of generated tokens.
pub const DECODE: ModeText = ModeText {
    name: (
        "下一个词元",
        "上下文为 t 个词元时，逐词元生成中每个词元的时间，使用真实状态：KV 缓存，或大小固定的状态。",
    ),
    field_lengths: "上下文长度",
    activity: |doing, lane, length| format!("正在{doing}：{lane}，上下文 {length}"),
    summary: |lanes, lengths, width, level| {
        format!("{lanes} 条赛道 · 逐词元生成，上下文 {lengths} · 宽度 {width} · {level}")
    },
    chart_title: "每词元时间与上下文长度",
    chart_summary: |lanes, from, to| {
        format!(
            "{lanes} 条赛道在上下文 {from} 到 {to} 个词元时逐词元生成的双对数图。下方的结果表包含相同的数据。"
        )
    },
    tokens: "个词元的上下文",
    lanes_at: |length| format!("上下文 {length} 个词元时"),
    results_caption: |view| {
        format!(
            "各上下文长度下的{view}：中位数，其下为四分位数及与同一后端上注意力的比值；悬停可查看 95% 区间"
        )
    },
    growth_help: "状态大小固定时为 0，使用缓存时趋近 1",
    columns: &[
        ("词元/秒", "每秒生成的词元数，按整个批次计"),
        ("状态", "整个批次的状态大小，为上下文和待生成的词元预留空间"),
        ("预填充", "首词元时间：以并行形式处理上下文"),
        ("最慢词元", "一次运行中单个词元的最长耗时；时钟精度不足、无法测量单个词元时为空"),
        ("准备", "分配、缓存表与填充状态：单独计时，不计入结果"),
    ],
    columns_note: "最后几列取自测得的最长上下文。有些系统的计算呈突发性：多数词元很快，少数词元集中完成许多词元的计算。平均值计入了全部计算，最慢词元则体现突发的代价。",
};

/// How generated tokens are measured.
pub const ABOUT: &[(&str, &str)] = &[
    (
        "下一个词元",
        "“下一个词元”测量给定上下文之后每个生成词元的时间，取一次运行中各词元的平均值。批大小大于 1 时，一步为每个序列各生成一个词元，所计时间是整步的时间。",
    ),
    (
        "真实状态",
        "每条赛道只保存其算法所需的状态：注意力保存所有词元的键和值，长卷积保存过去的输入，循环形式保存大小固定的状态。状态为上下文和待生成的词元预留空间，其字节数按实际分配统计。每个词元的输出应等于对截至该词元的全部词元做前向计算的结果，并与 f64 参考实现比较。",
    ),
    (
        "逐步依赖",
        "每个词元的输入包含前一个词元的输出，因此任何一步都无法提前计算。每一步都很短，大部分时间在等待内存读取：每个词元都要重新读取权重和状态。",
    ),
    (
        "词元时间不包括什么",
        "不包括准备、用上下文填充状态以及预填充。预填充即首词元时间：以并行形式处理上下文，并给出其中每个词元的输出；它单独计时。",
    ),
    (
        "不能逐词元生成的系统",
        "如果输出依赖之后的词元，或者论文只给出作用于整个序列的形式，就无法逐词元生成：该赛道以“不支持”退赛，并给出原因。",
    ),
];
