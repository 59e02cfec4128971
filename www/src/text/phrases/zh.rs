//! The sentences of the engine, the formats and the scripts in Simplified Chinese.

use super::Phrase;

/// Longer forms before shorter ones that they have too.
pub(in crate::text) static PHRASES: &[Phrase] = &[
    // Links.
    ("the link holds no race: nothing follows `#r=`", "链接中没有竞赛：`#r=` 之后没有内容"),
    ("this is no link to a race: it has no `#r=`", "这不是竞赛链接：其中没有 `#r=`"),
    ("the link has {} characters; at most {} are accepted", "链接有 {0} 个字符；最多接受 {1} 个"),
    (
        "the link claims version 0, which never existed; copy it again in full",
        "链接自称版本 0，而该版本从未存在；请重新完整复制",
    ),
    (
        "the link was made with a newer Crossover (format {}); reload the page or get the newest version",
        "此链接由更新版本的 Crossover 生成（格式 {0}）；请重新加载页面或获取最新版本",
    ),
    (
        "the link is damaged at character {}; copy it again in full",
        "链接在第 {0} 个字符处损坏；请重新完整复制",
    ),
    ("the link is damaged or cut off; copy it again in full", "链接已损坏或被截断；请重新完整复制"),
    ("the link unpacks to more than {} bytes", "链接解压后超过 {0} 字节"),
    ("the link's content is malformed: {}", "链接内容格式不正确：{0}"),
    ("the link's configuration is refused: {}", "链接中的配置被拒绝：{0}"),
    ("the link's report is refused: {}", "链接中的报告被拒绝：{0}"),
    // Reports and configurations.
    ("the configuration has {} bytes; at most {} are accepted", "配置有 {0} 字节；最多接受 {1} 字节"),
    ("the configuration is not JSON: {}", "配置不是 JSON：{0}"),
    ("the report has {} bytes; at most {} are accepted", "报告有 {0} 字节；最多接受 {1} 字节"),
    ("this is not a report: {}", "这不是报告：{0}"),
    (
        "the report has format {}; this version reads formats up to {}: get a newer Crossover",
        "报告的格式为 {0}；此版本最高只能读取格式 {1}：请获取更新版本的 Crossover",
    ),
    ("unknown field `{}`; known fields: {}", "未知字段 `{0}`；已知字段：{1}"),
    (
        "{}: the same system, backend and parameters as systems[{}]; change or remove one (`auto` is the CPU where there is no GPU)",
        "{0}：系统、后端和参数与 systems[{1}] 相同；请更改或移除其一（没有 GPU 时，`auto` 即 CPU）",
    ),
    ("{}: must be {}, got {}", "{0}：须为{1!}，而不是 {2!}"),
    ("{}: must be {}, got {}", "{0}：须为{1!}"),
    ("{}: must be {}, got {}", "{0}：值不合规定"),
    ("{}: at most {} are accepted, got {}", "{0}：最多接受 {1} 个，而这里有 {2} 个"),
    ("{}: unknown system `{}`; {}", "{0}：未知系统 `{1}`；{2}"),
    ("{}: {} has no such parameter; {}", "{0}：{1} 没有此参数；{2}"),
    ("{}: is missing", "{0}：缺失"),
    ("config.{}", "config.{0}"),
    ("known systems: {}", "已知系统：{0}"),
    ("it has none", "它没有参数"),
    ("it has: {}", "它的参数有：{0}"),
    ("names are of lower-case letters, digits and hyphens", "名称由小写字母、数字和连字符组成"),
    ("names are of letters, digits and underscores", "名称由字母、数字和下划线组成"),
    ("lengths: {}", "lengths：{0}"),
    (
        "`{}` is no sequence length: whole numbers from 1 to {} are, such as 256..16384 or 256, 384, 512",
        "`{0}` 不是序列长度：须为 1 至 {1} 的整数，例如 256..16384 或 256, 384, 512",
    ),
    ("a range goes from short to long: {}..{}, not {}..{}", "范围须由短到长：{0}..{1}，而不是 {2}..{3}"),
    (
        "did you mean {}? Thousands have no separator here; separate lengths are written {}",
        "是指 {0} 吗？此处千位不加分隔符；多个长度请写作 {1}",
    ),
    ("at most {} sequence lengths are accepted, got {}", "最多接受 {0} 个序列长度，而这里有 {1} 个"),
    // What is allowed, and what came instead.
    ("\"auto\" or a whole number from 1 to {}", " \"auto\" 或 1 至 {0} 的整数"),
    ("a whole number from {} to {}", " {0} 至 {1} 的整数"),
    ("a whole number up to {}", "不超过 {0} 的整数"),
    ("a number from {} to {}", " {0} 至 {1} 的数"),
    ("a number from {}", " {0} 之间的数"),
    ("a divisor of the width ({})", "宽度（{0}）的约数"),
    ("at most {} for this batch and width", "不超过 {0}（就此批量和宽度而言）"),
    ("a list of at least one", "至少含一项的列表"),
    ("a list of whole numbers or a text such as \"256..16384\"", "整数列表，或形如 \"256..16384\" 的文本"),
    (
        "a list of names or of objects with `system`, `backend` and `params`",
        "名称的列表，或含 `system`、`backend` 和 `params` 的对象的列表",
    ),
    (
        "a system's name or an object with `system`, `backend` and `params`",
        "系统名称，或含 `system`、`backend` 和 `params` 的对象",
    ),
    ("a system's name", "系统名称"),
    ("an object with named fields", "含具名字段的对象"),
    ("an object with named parameters", "含具名参数的对象"),
    ("a number, a word, true or false", "数、词、true 或 false"),
    ("a finite number", "有限数"),
    ("a short word", "简短的词"),
    ("true or false", " true 或 false"),
    ("\"core\" or \"layer\"", " \"core\" 或 \"layer\""),
    ("\"cpu\", \"webgpu\" or \"auto\"", " \"cpu\"、\"webgpu\" 或 \"auto\""),
    ("one of {}", "以下之一：{0}"),
    ("an odd number from {}", "不小于 {0} 的奇数"),
    ("an even number", "偶数"),
    ("a power of two", " 2 的幂"),
    ("an empty list", "空列表"),
    // The engine.
    ("unknown system `{}`; known systems: {}", "未知系统 `{0}`；已知系统：{1}"),
    ("{} has no parameter `{}`; it has: {}", "{0} 没有参数 `{1}`；它的参数有：{2}"),
    (
        "a causal form: every summary row mixes all positions, so set causal to false",
        "因果形式：每个汇总行都混合所有位置，请将因果设为否",
    ),
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
    ("another race or verification is under way", "另一场竞赛或验证正在进行"),
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
        "the page speaks version {}, this worker {}; reload the page",
        "页面使用版本 {0}，而引擎使用版本 {1}；请重新加载页面",
    ),
    (
        "the code of {} could not be loaded; check the connection, reload the page and start again",
        "无法加载 {0} 的代码；请检查网络连接，重新加载页面并再次开始",
    ),
    ("the message has {} bytes; at most {} are accepted", "消息有 {0} 字节；最多接受 {1} 字节"),
    ("the message is not a JSON object: {}", "消息不是 JSON 对象：{0}"),
    ("the message has no `type`; known types: {}", "消息没有 `type`；已知类型：{0}"),
    ("unknown message type `{}`; known types: {}", "未知消息类型 `{0}`；已知类型：{1}"),
    ("`{}` message: {}", "`{0}` 消息：{1}"),
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
    (
        "The engine could not be loaded ({}). Check where configure() says that the files are.",
        "无法加载引擎（{0}）。请检查 configure() 所指的文件位置。",
    ),
    (
        "Races need a browser or a Web Worker in one. On a command line, use the crossover program: cargo run --release -p cli -- race.",
        "竞赛需要浏览器或其中的 Web Worker。在命令行中请使用 crossover 程序：cargo run --release -p cli -- race。",
    ),
    ("The race was stopped before its end.", "竞赛在结束前被停止。"),
    ("crossover.js could not be used: {}. Reload the page.", "无法使用 crossover.js：{0}。请重新加载页面。"),
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
    // What a system costs.
    ("{} time, {} memory", "时间 {0}，内存 {1}"),
    ("{}, {} steps deep", "{0}，深 {1} 步"),
    // A lane's error with its code.
    ("{} ({})", "{0!}（{1}）"),
];
