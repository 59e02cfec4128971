//! Sentences of older reports and of links in Simplified Chinese: reasons of points, and warnings.

use super::Phrase;

/// Longer forms before shorter ones that they have too.
pub(in crate::text) static PHRASES: &[Phrase] = &[
    // The engine.
    ("unknown system `{}`; known systems: {}", "未知系统 `{0}`；已知系统：{1}"),
    ("{} has no parameter `{}`; it has: {}", "{0} 没有参数 `{1}`；它的参数有：{2}"),
    (
        "a causal form: every summary row mixes all positions, so set causal to false",
        "因果形式：每个汇总行都混合所有位置，请将因果设为否",
    ),
    ("{} does not generate token by token: {}", "{0} 不能逐词元生成：{1}"),
    (
        "each output depends on later tokens, so every new token would change all earlier outputs",
        "每个输出都依赖其后的词元，因此每个新词元都会改变之前的所有输出",
    ),
    (
        "a new token moves the chunks of sorted positions, so that decoding would compute another function than the forward pass",
        "新词元会使排序后位置的分块移动，因此解码与前向计算算出的不是同一个函数",
    ),
    (
        "this form is defined over the whole sequence and has no recurrence",
        "此形式定义在整个序列上，没有递推形式",
    ),
    ("its decoder runs on the CPU only", "其解码器只能在 CPU 上运行"),
    ("{} does not support {}", "{0} 不支持：{1}"),
    ("tensor `{}` is missing", "缺少张量 `{0}`"),
    ("tensor `{}` must hold {}, got {}", "张量 `{0}` 的元素须为 {1}，而不是 {2}"),
    (
        "tensor `{}` holds {} at {}; inputs and weights must be finite",
        "张量 `{0}` 第 {2} 个元素为 {1}；输入和权重必须是有限数",
    ),
    ("whole numbers", "整数"),
    ("floats", "浮点数"),
    ("tensor `{}` must have shape {}, got {}", "张量 `{0}` 的形状须为 {1}，而不是 {2}"),
    ("needs {} MiB; {} MiB are available", "需要 {0} MiB；可用 {1} MiB"),
    ("needs {} bytes, but only {} bytes are available", "需要 {0} 字节，但只有 {1} 字节可用"),
    (
        "GPU buffer `{}` needs {} bytes; this adapter allows {}",
        "GPU 缓冲区 `{0}` 需要 {1} 字节；此适配器只允许 {2}",
    ),
    ("needs {} of at least {}; this adapter allows {}", "需要 {0} 至少为 {1}；此适配器只允许 {2}"),
    ("output {} is {}, not a finite number", "输出 {0} 为 {1}，不是有限数"),
    (
        "its output changed between runs: a part of it summed to {}, then to {}",
        "各次运行的输出不一致：其中一部分之和先为 {0}，后为 {1}",
    ),
    (
        "a sample is too few steps of this clock, however many passes there is time for",
        "无论时间允许多少次运行，一个样本所占的时钟步数都太少",
    ),
    ("{} is not available: {}", "{0} 不可用：{1}"),
    ("the GPU device was lost: {}", "GPU 设备丢失：{0}"),
    ("the GPU refused {}: {}", "GPU 拒绝了 {0}：{1}"),
    ("cancelled", "已取消"),
    (
        "the clock did not advance in {} readings; nothing can be timed (a privacy setting that freezes timers can do this)",
        "时钟在 {0} 次读取中没有前进，无法计时（冻结计时器的隐私设置可能导致这种情况）",
    ),
    ("cannot start {} threads: {}; ask for fewer", "无法启动 {0} 个线程：{1}；请减少线程数"),
    (
        "{}: {} of {} samples lie far from the others of their length; they are kept: close other programs and race again",
        "{0}：{2} 个样本中有 {1} 个远离同一长度的其他样本；它们被保留：请关闭其他程序后重新竞赛",
    ),
    // Why there is no GPU.
    (
        "this browser has no WebGPU; use a current Chrome, Edge, Safari or Firefox, or race on the CPU",
        "此浏览器没有 WebGPU；请使用较新的 Chrome、Edge、Safari 或 Firefox，或在 CPU 上竞赛",
    ),
    (
        "WebGPU needs a secure page; open this page over https:// or on localhost",
        "WebGPU 需要安全页面；请通过 https:// 或在 localhost 上打开此页面",
    ),
    (
        "no GPU adapter ({}); turn on hardware acceleration, update the graphics driver, or race on the CPU",
        "没有 GPU 适配器（{0}）；请开启硬件加速、更新显卡驱动，或在 CPU 上竞赛",
    ),
    (
        "the GPU adapter refused a device ({}); close other pages that use the GPU and try again, or race on the CPU",
        "GPU 适配器拒绝提供设备（{0}）；请关闭其他使用 GPU 的页面后重试，或在 CPU 上竞赛",
    ),
    (
        "the request for a GPU {} got no answer within {} s; reload the page, restart the browser, or race on the CPU",
        "对 GPU {0} 的请求在 {1} 秒内没有应答；请重新加载页面、重启浏览器，或在 CPU 上竞赛",
    ),
    (
        "the GPU device was lost twice (last: {}); reload the page to try again, or race on the CPU",
        "GPU 设备两次丢失（最近一次：{0}）；请重新加载页面再试，或在 CPU 上竞赛",
    ),
    // Between page and engine.
    (
        "the code of {} could not be loaded; check the connection, reload the page and start again",
        "无法加载 {0} 的代码；请检查网络连接，重新加载页面并再次开始",
    ),
    // The scripts.
    ("Cancelled before it started.", "开始前已取消。"),
    ("Cancelled before anything was measured.", "测得任何结果之前已取消。"),
    ("The engine was restarted.", "引擎已重新启动。"),
    (
        "The engine stopped answering. What was measured is kept; start again, perhaps with shorter sequences.",
        "引擎不再应答。已测得的结果得以保留；请重新开始，或许可用更短的序列。",
    ),
    (
        "The engine stopped: {}. What was measured is kept; you can start a new race.",
        "引擎已停止：{0}。已测得的结果得以保留；你可以开始新的竞赛。",
    ),
    ("a fault in its code ({})", "其代码出错（{0}）"),
    ("The engine stopped: {}. A new one was started.", "引擎已停止：{0}。新的引擎已启动。"),
    (
        "A newer version of Crossover was put online since this page was opened, and the old files are gone. Reload the page to get it.",
        "此页面打开后，Crossover 的新版本已上线，旧文件已不存在。请重新加载页面以获取新版本。",
    ),
    (
        "The engine could not be loaded ({}). Check the connection and reload the page.",
        "无法加载引擎（{0}）。请检查网络连接并重新加载页面。",
    ),
    ("The race was stopped before its end.", "竞赛在结束前被停止。"),
    // Warnings.
    (
        "{}: the first length took {} times as long when it was measured again at the end; let the machine cool down, close other programs, and race again",
        "{0}：结束时重测首个长度，用时为最初的 {1} 倍；请让机器冷却、关闭其他程序后再竞赛",
    ),
    (
        "{} samples were thrown away because the tab was hidden or the clock jumped; keep the tab in front while it races",
        "因标签页被隐藏或时钟跳变，{0} 个样本被丢弃；竞赛时请让标签页保持在前台",
    ),
    (
        "the clock moves in steps of {} ms, so short times are coarse",
        "时钟步长为 {0} 毫秒，因此短时间的测量较粗略",
    ),
    (
        "the GPU is emulated in software: its times say nothing of real GPUs",
        "此 GPU 由软件模拟：其用时不能说明真实 GPU 的快慢",
    ),
    (
        "the race was stopped before its end; what was measured stands",
        "竞赛在结束前被停止；已测得的结果仍然有效",
    ),
    // A lane's error with its code.
    ("{} ({})", "{0!}（{1}）"),
];

/// Words in the complexities of systems.
pub(in crate::text) static COMPLEXITIES: &[Phrase] =
    &[("{} time, {} memory", "时间 {0}，内存 {1}"), ("{}, {} steps deep", "{0}，深 {1} 步")];
