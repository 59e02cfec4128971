//! Simplified Chinese. Numbers are grouped and units abbreviated as in English, which is the custom of the field there
//! too; names of systems, papers and units stay as published.

use super::Text;

/// Simplified Chinese.
pub static CHINESE: Text = Text {
    lang: "zh-Hans",
    language: "语言",
    language_failed: |name| format!("无法加载此页面的 {name} 版本。"),
    travel: &super::travel::CHINESE,
    name: "Crossover",
    tagline: "注意力在哪里落败？",
    intro: "注意力的开销随序列长度的平方增长，而挑战者几乎只线性增长。在这个标签页里、用你自己的硬件让它们赛一场，看看曲线在哪里相交。",
    skip: "跳到竞赛",

    start: "开始竞赛",
    again: "再赛一次",
    starting: "正在启动…",
    cancel: "取消",
    cancelling: "正在停止…",
    space_hint: "空格",
    esc_hint: "Esc",
    ready: "就绪",
    loading_engine: "正在加载引擎…",
    fix_first: "请先修正高亮的字段",
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
    doing: |activity| match activity {
        "loading" => "加载各系统的代码",
        "verifying" => "验证",
        "preparing" => "准备",
        "warming-up" => "预热",
        "sampling" => "计时",
        "checking-drift" => "检查漂移",
        "measuring-roofline" => "测量本机峰值",
        _ => "处理",
    },
    time_left: |left| format!("约剩 {left}"),
    activity: |doing, lane, length| format!("正在{doing}：{lane}，长度 {length}"),
    at_most: |time| format!("至多 {time}"),
    announce: |percent, doing, left| format!("已完成 {percent}%。{doing}。约剩 {left}。"),
    announce_start: "竞赛已开始。",
    announce_done: "竞赛结束。",
    announce_cancelled: "竞赛已取消。",
    hidden_note: "请让此标签页保持在前台：隐藏期间的样本会作废并重新采集。",
    keep_visible: "请让此标签页保持在前台，并让机器保持空闲。",
    was_hidden: "标签页曾被隐藏：那时的样本会作废并重新采集。",
    progress_label: "竞赛进度",

    theme: "主题",
    theme_auto: "主题：跟随系统",
    theme_light: "主题：浅色",
    theme_dark: "主题：深色",
    close: "关闭",
    dismiss: "忽略",
    copy_error: "复制详情",
    copied: "已复制",
    restart_engine: "重启引擎",
    reload: "重新加载页面",
    problem_title: "出了问题",

    presets: "现成的竞赛",
    preset_duel: ("注意力对 Hyena", "Hyena 论文中的对决，层对层"),
    preset_both: ("CPU 与 GPU", "注意力与 Hyena，两种处理器：交叉点会移动吗？"),
    preset_wall: ("内存墙", "存储 L×L 分数的注意力，与不存储的注意力对比"),
    preset_challengers: ("2023 年的挑战者", "2022 与 2023 年的卷积和状态空间模型，与注意力对比"),
    preset_efficient: ("高效注意力", "窗口、哈希、核函数与投影，与精确注意力对比"),
    preset_liquid: ("液态网络", "逐个词元推进的循环网络"),
    preset_everything: ("全部", "所有系统，用本机最好的后端"),
    preset_everything_both: ("全部，CPU 与 GPU", "所有系统，两种后端：耗时最长"),
    preset_needs_gpu: "需要此浏览器可用的 GPU",

    chart_title: "时间与序列长度",
    chart_help: "两轴均为对数：直线即幂律，斜率就是指数。",
    chart_keys: "左右键沿一条赛道移动，上下键在赛道之间移动。",
    chart_empty: "按“开始竞赛”，测得的曲线会显示在这里。",
    chart_sketch: "点线表示理论斜率，不是时间。",
    chart_no_roofline: "本机峰值在竞赛结束时测量。",
    chart_roofline: "份额 = 实测峰值所允许的最短时间 ÷ 中位数；最短时间取运算、指数函数和访存三项所需时间中最长的一项。超过 100% 说明数据留在缓存中（缓存比所测的内存更快），或者测量峰值时受到了其他程序的干扰。",
    chart_summary: |lanes, from, to| {
        format!("{lanes} 条赛道从 {from} 到 {to} 个词元的双对数图。下方的结果表包含相同的数据。")
    },
    views: "视图",
    metric_time: "时间",
    metric_throughput: "吞吐量",
    metric_gflops: "GFLOP/s",
    metric_bandwidth: "GB/s",
    metric_memory: "内存",
    metric_roofline: "Roofline",
    axis_length: "序列长度（词元）",
    axis_time: "一次前向计算的时间",
    axis_throughput: "每秒词元数",
    axis_gflops: "FLOP/s（按闭式公式）",
    axis_bandwidth: "字节/s（按闭式公式）",
    axis_memory: "峰值内存",
    axis_roofline: "占实测峰值的份额",
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
    crossover_label: |length| format!("交叉点 {length}"),
    crossover_description: |lane, length, interval| {
        format!("{lane} 在 {length} 个词元处超过注意力 {interval}")
    },
    interval: |low, high| {
        if low == high { format!("（95%：{low}）") } else { format!("（95%：{low}–{high}）") }
    },
    quartiles: "四分位数",
    time_interval: "中位数的 95% 区间",
    versus: "相对注意力",
    device_time: "GPU 自身计时",
    tokens: "词元",
    predicted: "预测",
    measured: "实测",
    key_line: "实测中位数；须线：四分位数",
    key_dashed: "拟合模型的预测",
    key_band: "交叉点，95% 区间",
    key_dnf: "退赛",
    key_fill: "实心：GPU，空心：CPU",
    key_full: "外圈：此长度下执行全注意力",

    lanes_title: "赛道",
    lanes_at: |length| format!("{length} 个词元时"),
    lanes_before: "尚未开赛",
    show_lane: |lane| format!("在图中显示 {lane}"),
    new_setup: "下一场：",
    growth: "增长",
    theory: "理论",
    baseline: "基准",
    faster: |ratio| format!("快 {ratio}"),
    slower: |ratio| format!("慢 {ratio}"),
    about_equal: |interval| format!("相差无几（{interval}）"),
    undecided: |interval| format!("未分胜负（{interval}）"),
    no_interval: |ratio| format!("速度为 {ratio}，无置信区间"),
    needs: |time| format!("约需 {time}"),
    full_attention: "全注意力",
    and_full_attention: |point| format!("{point}；此处其稀疏模式覆盖所有位置对，即全注意力"),
    full_attention_note: "在此长度下，其稀疏模式覆盖所有位置对，实际执行的是全注意力。",
    causal_only: "仅因果",
    bidirectional_only: "仅双向",
    one_way_note: "此系统只有这一种形式，始终以该形式运行。",

    badge_pending: "尚未验证",
    badge_pass: "已验证",
    badge_fail: "输出有误",
    badge_pass_detail: |deviation| format!("已对照 f64 参考实现验证：最大相对偏差 {deviation}"),
    badge_fail_detail: |deviation| format!("其输出与 f64 参考实现不符（相对偏差 {deviation}），不参与排名"),

    results_title: "结果",
    results_caption: |view| {
        format!("一次前向计算的{view}：中位数，其下为四分位数及与同一后端上注意力的比值；悬停可查看 95% 区间")
    },
    results_empty: "测得的数字会出现在这里。",
    col_lane: "赛道",
    col_verified: "已验证",
    col_growth: "增长",
    col_setup: "准备",
    col_first: "首次运行",
    col_setup_help: "最长长度下的分配、上传、着色器编译与缓存表：单独计时，不计入结果",
    col_first_help: "最长长度下、预热之前的第一次前向计算",
    samples: |kept, discarded| {
        if discarded == 0 {
            format!("{kept} 个样本")
        } else {
            format!("{kept} 个样本，{discarded} 个作废")
        }
    },
    would_take: |value| format!("预测 ≈ {value}"),
    setup_note: "准备（分配、上传、着色器编译、缓存表）与首次冷运行取自测得的最长长度，二者都不计入结果。",

    hardware_title: "这台机器",
    hw_gpu: "GPU",
    hw_gpu_none: "没有此浏览器可用的 GPU",
    hw_gpu_software: "软件模拟，不是真正的 GPU",
    hw_gpu_unnamed: "未命名的适配器",
    hw_gpu_looking: "正在查找…",
    hw_cpu: "CPU",
    hw_cores: |n| format!("{n} 核"),
    hw_threads: |n| format!("{n} 线程"),
    hw_simd: "指令集",
    hw_isolated: "隔离",
    hw_isolated_yes: "跨源隔离：多线程，精细时钟",
    hw_isolated_no: "未隔离：单线程，粗略时钟",
    hw_clock: "时钟",
    hw_peak_cpu: "CPU 实测峰值",
    hw_peak_gpu: "GPU 实测峰值",
    hw_peak_f16: |flops| format!("（f16 {flops}）"),
    hw_peak_exp: |rate| format!(" · {rate}"),
    hw_peak_text: |flops, bytes| format!("{flops} · 拷贝 {bytes}"),
    hw_clock_step: |step| format!("步长 {step}"),
    hw_memory: "内存",
    hw_memory_text: |bytes| format!("CPU 赛道可用 {bytes}"),
    hw_features: "GPU 特性",
    hw_limits: "GPU 限制",
    hw_limits_text: |binding, buffer, shared, invocations| {
        format!("每个绑定 {binding}，每个缓冲区 {buffer}，共享内存 {shared}，每个工作组 {invocations} 次调用")
    },
    hw_browser: "浏览器",
    hw_build: "版本",
    hw_timestamps: "时间戳",
    hw_subgroups: "子组",
    hw_kernels: "内核",
    hw_kernel_class: |kernel, d_head, causal| {
        let causal = if causal { "，因果" } else { "" };
        format!("{kernel}，头维度 {d_head}{causal}")
    },
    hw_kernel_measured: "实测最快",
    hw_kernel_by_rule: "按规则选定",
    hw_f16: "f16",
    hw_none: "无",
    hw_more: "详情",

    config_title: "设置竞赛",
    config_lanes: "赛道",
    config_problem: "问题",
    config_run: "运行",
    config_locked: "用于下一场",
    add_lane: "添加赛道",
    search_systems: "搜索系统",
    search_placeholder: "hyena、线性、状态空间…",
    search_none: "没有匹配的系统。",
    remove_lane: |lane| format!("移除 {lane}"),
    about_system: |system| format!("关于 {system}"),
    lane_backend: |lane| format!("{lane} 的后端"),
    lane_params: "参数",
    backend_cpu: "CPU",
    backend_gpu: "GPU",
    backend_auto: "最佳",
    backend_race: "与竞赛相同",
    field_backend: "后端",
    field_lengths: "序列长度",
    field_lengths_help: "256..16384 逐次加倍；或列表：256, 384, 512",
    lengths_raced: |lengths| format!("将测试：{lengths}"),
    field_width: "宽度",
    field_heads: "头数",
    field_batch: "批大小",
    field_causal: "因果",
    field_causal_help: "输出只依赖更早的词元，与语言模型相同",
    field_level: "层次",
    level_core: "核心",
    level_layer: "整层",
    level_help: "核心：仅计算序列混合。整层：包括所有投影。",
    field_threads: "CPU 线程",
    field_threads_auto: "自动",
    field_budget: "预算（秒）",
    field_seed: "种子",
    reset: "重置",
    summary: |lanes, lengths, width, level| {
        format!("{lanes} 条赛道 · {lengths} 个词元 · 宽度 {width} · {level}")
    },
    error_no_lanes: "请至少选择一条赛道",
    error_too_many_lanes: |max| format!("最多 {max} 条赛道"),
    error_unknown_system: |name| format!("此版本没有系统“{name}”"),
    error_unknown_param: |name| format!("此系统没有参数“{name}”"),
    error_twin: "此赛道重复出现",
    error_whole: |low, high| format!("{low} 到 {high} 的整数"),
    error_number: |low, high| format!("{low} 到 {high} 的数"),
    error_flag: "true 或 false",
    error_choice: |choices| format!("{choices} 之一"),
    error_divisor: |width, divisors| format!("必须整除宽度 {width}：{divisors}…"),
    error_elements: |longest| format!("在此批大小与宽度下最多 {longest}"),
    error_threads: |max| format!("留空表示全部，或 1 到 {max} 的整数"),
    error_lengths: |max| format!("1 到 {max} 的整数，例如 256..16384 或 256, 384, 512"),
    error_lengths_order: "范围须由短到长，例如 256..16384",
    error_thousands: |meant, apart| format!("是指 {meant} 吗？千位不加分隔符；多个长度请写作 {apart}"),
    error_too_many_lengths: |max| format!("最多 {max} 个长度"),

    family_attention: "注意力",
    family_efficient: "高效注意力",
    family_convolution: "长卷积",
    family_state_space: "状态空间",
    family_liquid: "液态网络",
    family_other: "其他",

    systems_title: "系统",
    systems_intro: "每条赛道都是已发表的算法，并对照其作者代码算出的向量检验过。",
    system_complexity: "开销",
    system_paper: "论文",
    system_reference: "参考代码",
    system_params: "参数",
    system_forms: "形式",
    forms_both: "因果与双向",
    system_arxiv: |number| format!("arXiv {number}"),
    system_default: |value| format!("默认 {value}"),
    system_race: "让它参赛",
    system_loading: "正在加载…",
    system_failed: "无法加载此系统的页面。",
    system_more: "实现方式、与原论文的差异、限制",
    retry: "重试",
    copy: "复制",
    pattern_title: "每个输出依赖哪些输入",
    pattern_help: "此图由计算得出：每一列替换若干输入词元，并以论文的参数和随机权重重新运行该系统的参考实现；各行自上而下对应第一个到最后一个输出，颜色越深，变化越大。对数刻度；空白表示没有变化。",
    pattern_caption: |length, causal, held| {
        let form = if causal { "因果" } else { "双向" };
        let held = if held { "，固定哈希" } else { "" };
        format!("{length} 个词元，{form}{held}")
    },
    pattern_summary: |caption, share, later| {
        let later =
            if later { "输出也依赖之后的输入" } else { "没有输出依赖之后的输入" };
        format!("{caption}：在所有输出与输入的配对中，{share}% 存在依赖；{later}")
    },

    help_title: "键盘快捷键",
    help_keys: &[
        ("Space", "开始或停止竞赛"),
        ("Esc", "停止竞赛，或关闭打开的对话框"),
        ("g", "前往竞赛"),
        ("c", "前往设置"),
        ("r", "前往结果"),
        ("s", "前往系统列表"),
        ("← →", "在图中：沿一条赛道移动；在视图中：切换视图"),
        ("↑ ↓", "在图中：在赛道之间移动"),
        ("Home End", "在图中：到一条赛道的第一个与最后一个点"),
        ("?", "显示此列表"),
    ],
    help_note: "所有内容都可用 Tab 键到达。在输入框中打字时，字母与空格键不触发快捷键。",

    so_far: |sentence| format!("目前：{sentence}"),
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
        format!("在 {last} 个词元之外，拟合曲线约在 {length} 处{interval}相交：{lane} 预计在那里超过注意力。")
    },
    ahead_by: |lane, from, place| format!("在{place}上，{lane} 最迟从 {from} 个词元起领先注意力。"),
    undecided_overtaking: |lane, last, place| {
        format!("未分胜负：在{place}上，直到 {last} 个词元，无法判定 {lane} 是否超过注意力。")
    },
    undecided_behind: |lane, last, place| {
        format!("在{place}上，注意力在 {last} 个词元处领先；{lane} 在更长的长度上是否会超过，尚无法判定。")
    },
    undecided_ahead: |lane, last, place, challengers| {
        let among =
            if challengers > 1 { format!("在 {challengers} 个挑战者中") } else { String::new() };
        format!("在{place}上，{lane} 在 {last} 个词元处领先，但{among}优势不够明确，无法给出交叉点。")
    },
    no_overtaking: |lane, last, place| format!("在{place}上，直到 {last} 个词元，未发现 {lane} 超过注意力。"),
    stays_ahead: |baseline, last, place| format!("在{place}上，{baseline} 直到 {last} 个词元都保持领先。"),
    ahead_before: |lane, last, place| {
        format!(
            "在{place}上，{lane} 在较短长度上领先，但在 {last} 个词元处注意力领先，且未发现更长处的交叉点。"
        )
    },
    faster_at: |lane, length, ratio, interval| format!("在 {length} 个词元处，{lane} 快 {ratio}{interval}。"),
    slower_at: |lane, length, ratio, interval| format!("在 {length} 个词元处，{lane} 慢 {ratio}{interval}。"),
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
    this_cpu: "这台机器的 CPU",
    this_gpu: "这台机器的 GPU",
    this_software_gpu: "软件模拟的 GPU（不是本机真正的 GPU）",
    headline_idle: "开始竞赛，查看这台机器上的结果。",
    headline_racing: "竞赛中…",
    headline_nothing: "没有测得任何结果。",
    warnings_title: "使用这些数据前请注意",

    waiting_turn: "等待此浏览器中的另一场竞赛结束",
    embed_open: "在 Crossover 中打开",
    embed_one_thread: "仅用单线程和较粗的时钟，因为此浏览器在这里不隔离框架。",
    embed_invalid: "无法按请求的配置运行此竞赛。",
    embed_title: "嵌入",
    embed_intro: "这段 HTML 可把竞赛放入任何网页。读者按下之前只看到静态图像。",
    embed_what: "显示内容",
    embed_live: "可运行的竞赛",
    embed_recorded: "上方的结果",
    embed_autoplay: "进入视野后开始",
    embed_code: "要粘贴的 HTML",
    embed_copy: "复制",
    embed_preview: "预览",

    rest_failed: "页面的一部分无法加载：结果、链接、分享和历史运行都依赖它。请检查网络；如果网络正常，可能已有新版本，重新加载页面即可获取。",

    rest_gone: "打开此页面之后，Crossover 的新版本已上线。此页面的图表、结果、链接、分享和历史运行已无法加载；请重新加载页面以获取新版本。",
    race_kept: "本次竞赛已保存到历史运行。",
    race_lost: "本次竞赛无法保存，因为此浏览器不为此页面存储任何内容：重新加载会丢失它。",

    update_ready: "Crossover 的新版本已就绪。",
    update_apply: "重新加载以使用",

    about_title: "如何测量",
    about: &[
        (
            "条件相同",
            "所有赛道使用相同的输入、种子、宽度、头数与精度（f32），运行整层或其核心的前向计算。注意力使用分块、在线 softmax 的内核，没有刻意弱化；存储全部 L×L 分数的内核另占一条赛道。",
        ),
        (
            "正确性优先",
            "每条赛道在计时之前，其输出都与朴素的 f64 参考实现比较；计时输出中由比赛种子抽取的部分会再比较一次。输出错误的赛道会被标出，不参与排名。",
        ),
        (
            "交错轮次",
            "各赛道以随机顺序轮流运行，使发热与其他程序对所有赛道影响相同。预热之后持续采样直到样本一致；每个样本持续许多个浏览器时钟步长，而步长是实测的。最后重测第一个长度，并报告漂移。",
        ),
        (
            "中位数及其局限",
            "数字是中位数，须线是四分位数，区间是对本次运行各次准备及其样本的 95% 自助法（bootstrap）区间：不包含不同日期或不同浏览器之间的差异。只有比值的区间不含 1、且差异不小于百分之一时，才说一条赛道更快或更慢；否则页面会说“未分胜负”。",
        ),
        (
            "不计入时间的部分",
            "推理时可以缓存的准备工作（分配、上传、编译、只依赖权重的滤波器）单独计时并显示。所有依赖输入的计算都计入时间。",
        ),
        ("预测", "虚线是对实测时间拟合模型的外推。会超出时间预算或内存上限的赛道将退赛，页面会显示原因。"),
    ],
    catalogue: super::catalogue::zh::FORMS,
    complexity_words: super::phrases::zh::COMPLEXITIES,
    phrases: super::phrases::zh::PHRASES,
    bad_link_title: "无法读取链接",
    footer: "一切都在此标签页中运行，不上传任何内容。",
};
