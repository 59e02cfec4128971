//! The GPU primitives on a real adapter, compared with plain loops in f64, with options and sizes that no system's test
//! covers (long transforms, divided dispatches, every mask and activation).

#![expect(clippy::unwrap_used, reason = "a test that cannot get at its input has failed")]

use std::io::Write as _;
use std::ops::{Add as _, Mul as _};
use std::sync::{Mutex, MutexGuard, PoisonError};

use compute::gpu::{Gpu, GpuLane, GpuOptions};
use compute::{CancelSwitch, Host};
use kernels::ops::gpu::{
    Activation, Axis, Batches, Builder, Columns, Combine, Gemm, Linear, LongConv, Mask, Move, Norm, Operand,
    ShortFilter, Stream, TileAttention, map, move_rows, norm, prefix_sum, short_conv, softmax_rows,
    stable_sort, transpose, unpack,
};
use kernels::ops::long_conv::fft_size;
use mixer::{GpuTarget, Level, Params, Plan, Problem, SpotDraw, Tolerance};
use pollster::block_on;

/// A device, one test at a time; `None`, with a printed message, without an adapter.
fn device() -> Option<(MutexGuard<'static, ()>, Gpu)> {
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let guard = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let options = GpuOptions { guaranteed_limits_only: true, ..GpuOptions::default() };
    match block_on(Gpu::open(&Host::native(), &options)) {
        Ok(gpu) => Some((guard, gpu)),
        Err(error) => {
            writeln!(std::io::stderr(), "GPU TEST SKIPPED: {error}").ok();
            None
        }
    }
}

fn run(gpu: &Gpu, plan: Plan) -> Vec<f32> {
    block_on(async {
        let mut lane = GpuLane::new(gpu, plan, &CancelSwitch::default()).await.unwrap();
        lane.run(1).await.unwrap();
        lane.output().await.unwrap()
    })
}

fn result(gpu: &Gpu, mut builder: Builder, y: Stream, rows: usize, columns: Columns) -> Vec<f32> {
    let output = unpack(&mut builder, y, rows, columns);
    run(gpu, builder.finish(output).unwrap())
}

/// Uniform in −1 … 1, by a deterministic generator.
fn noise(len: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    (0..len)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f32 / (1 << 23) as f32 - 1.0
        })
        .collect()
}

fn assert_close(what: &str, got: &[f32], want: &[f64], abs: f64, rel: f64) {
    let deviation = Tolerance { abs, rel }.compare_f32(got, want);
    assert!(deviation.pass && got.len() == want.len(), "{what}: {deviation:?}");
}

fn at(data: &[f32], index: usize) -> f64 {
    f64::from(data[index])
}

#[test]
fn products_of_every_orientation_agree_with_plain_loops() {
    let Some((_guard, gpu)) = device() else { return };
    // With the second target, rows, columns and batches are divided.
    for target in [*gpu.target(), GpuTarget { max_dispatch_flops: 1 << 18, ..*gpu.target() }] {
        for [m, n, k] in [[1, 1, 1], [5, 7, 3], [64, 64, 16], [65, 130, 17], [130, 67, 33]] {
            for (transpose_a, transpose_b) in [(false, false), (false, true), (true, false), (true, true)] {
                let batches = Batches { outer: 2, inner: 3 };
                let mut builder = Builder::new(&target);
                let a_shape = if transpose_a { [k, m] } else { [m, k] };
                let b_shape = if transpose_b { [n, k] } else { [k, n] };
                let (a, b) = (noise(6 * m * k, 1), noise(6 * n * k, 2));
                let upload = |builder: &mut Builder, data: &[f32], [rows, width]: [usize; 2]| {
                    let stream = builder.upload("operand", data, Columns::plain(width));
                    Operand { stream, outer: 3 * rows * stream.stride, inner: rows * stream.stride }
                };
                let a_at = upload(&mut builder, &a, a_shape);
                let b_at = upload(&mut builder, &b, b_shape);
                let y = builder.stream("y", 6 * m, Columns::plain(n));
                let y_at = Operand { stream: y, outer: 3 * m * y.stride, inner: m * y.stride };
                Gemm {
                    batches,
                    transpose_a,
                    transpose_b,
                    alpha: 0.5,
                    ..Gemm::new(a_at, b_at, y_at, [m, n, k])
                }
                .record(&mut builder);
                let got = result(&gpu, builder, y, 6 * m, Columns::plain(n));
                let mut want = Vec::new();
                for batch in 0..6 {
                    for i in 0..m {
                        for j in 0..n {
                            let left = |l| batch * m * k + if transpose_a { l * m + i } else { i * k + l };
                            let right = |l| batch * n * k + if transpose_b { j * k + l } else { l * n + j };
                            want.push(0.5 * (0..k).map(|l| at(&a, left(l)) * at(&b, right(l))).sum::<f64>());
                        }
                    }
                }
                let what = format!("{m}×{n}×{k} {transpose_a} {transpose_b}");
                assert_close(&what, &got, &want, 1e-6 * k as f64, 1e-5);
            }
        }
    }
}

#[test]
fn epilogues_agree_with_their_definitions() {
    let Some((_guard, gpu)) = device() else { return };
    let (rows, inputs, outputs) = (9, 5, 6);
    let (x, w, b) = (noise(rows * inputs, 3), noise(outputs * inputs, 4), noise(outputs, 5));
    let gate = noise(rows * outputs, 6);
    let sigmoid = |x: f64| 1.0 / (1.0 + (-x).exp());
    // Mega rounds the constants of its Laplace function.
    let (mean, deviation) = (707_107e-6, 0.282_095 * 2.0_f64.sqrt());
    let cases: [(Activation, &dyn Fn(f64) -> f64); 10] = [
        (Activation::None, &|x| x),
        (Activation::Relu, &|x| x.max(0.0)),
        (Activation::Gelu, &|x| 0.5 * x * (1.0 + erf(x / 2.0_f64.sqrt()))),
        (Activation::Silu, &|x| x * sigmoid(x)),
        (Activation::Sigmoid, &sigmoid),
        (Activation::Tanh, &f64::tanh),
        (Activation::Softplus, &|x| (1.0 + x.exp()).ln()),
        (Activation::GeluTanh, &|x| {
            let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x * x * x);
            0.5 * x * (1.0 + inner.tanh())
        }),
        (Activation::Exp, &f64::exp),
        (Activation::Laplace, &|x| 0.5 * (1.0 + erf((x - mean) / deviation))),
    ];
    for (activation, function) in cases {
        for (how, join) in [(Combine::Multiply, f64::mul as fn(f64, f64) -> f64), (Combine::Add, f64::add)] {
            let mut builder = Builder::new(gpu.target());
            let linear =
                Linear::upload(&mut builder, &w, Some(&b), Columns::plain(inputs), Columns::plain(outputs));
            let x_at = builder.upload("x", &x, Columns::plain(inputs));
            let gate_at = builder.upload("gate", &gate, Columns::plain(outputs));
            let y = builder.stream("y", rows, Columns::plain(outputs));
            let gemm = linear.gemm(x_at, rows, y, 0);
            Gemm { activation, combine: Some((how, gate_at.into())), ..gemm }.record(&mut builder);
            let fused = result(&gpu, builder, y, rows, Columns::plain(outputs));

            let mut builder = Builder::new(gpu.target());
            let linear =
                Linear::upload(&mut builder, &w, Some(&b), Columns::plain(inputs), Columns::plain(outputs));
            let x_at = builder.upload("x", &x, Columns::plain(inputs));
            let gate_at = builder.upload("gate", &gate, Columns::plain(outputs));
            let before = builder.stream("before", rows, Columns::plain(outputs));
            let y = builder.stream("y", rows, Columns::plain(outputs));
            linear.apply(&mut builder, x_at, rows, before, 0);
            map(&mut builder, before, 1.0, activation, Some((how, gate_at)), y, [rows, outputs]);
            let apart = result(&gpu, builder, y, rows, Columns::plain(outputs));

            let mut want = Vec::new();
            for i in 0..rows {
                for j in 0..outputs {
                    let sum: f64 = (0..inputs).map(|l| at(&x, i * inputs + l) * at(&w, j * inputs + l)).sum();
                    want.push(join(function(sum + at(&b, j)), at(&gate, i * outputs + j)));
                }
            }
            assert_close(&format!("{activation:?} {how:?}"), &fused, &want, 2e-6, 2e-6);
            assert_close(&format!("map {activation:?} {how:?}"), &apart, &want, 2e-6, 2e-6);
        }
    }
}

/// The error function by its Maclaurin series, up to the argument from which it is 1 to eight digits.
fn erf(x: f64) -> f64 {
    if x.abs() > 4.0 {
        return x.signum();
    }
    let (mut term, mut sum) = (x, x);
    for n in 1..100 {
        term *= -x * x / f64::from(n);
        sum += term / f64::from(2 * n + 1);
    }
    2.0 / std::f64::consts::PI.sqrt() * sum
}

#[test]
fn softmax_rows_sum_to_one_and_masked_columns_are_zero() {
    let Some((_guard, gpu)) = device() else { return };
    for (rows, columns, causal) in
        [(1, 1, false), (7, 5, false), (6, 6, true), (300, 300, true), (3, 1000, false)]
    {
        let mut builder = Builder::new(&GpuTarget { max_dispatch_flops: 1 << 12, ..*gpu.target() });
        let x = noise(2 * rows * columns, 7);
        let scores = builder.upload("scores", &x, Columns::plain(columns));
        softmax_rows(&mut builder, scores, 2, [rows, columns], 3.0, causal);
        let got = result(&gpu, builder, scores, 2 * rows, Columns::plain(columns));
        for (row, (got, x)) in got.chunks(columns).zip(x.chunks(columns)).enumerate() {
            let seen = if causal { row % rows + 1 } else { columns };
            let total: f64 = (0..seen).map(|j| (3.0 * at(x, j)).exp()).sum();
            let want: Vec<f64> =
                (0..columns).map(|j| if j < seen { (3.0 * at(x, j)).exp() / total } else { 0.0 }).collect();
            assert_close("softmax", got, &want, 1e-7, 1e-5);
        }
    }
}

/// The keys visible to a query.
fn visible(mask: &Mask, query: usize, key: usize) -> bool {
    let within = |before: usize, after: usize| key + before >= query && key <= query.saturating_add(after);
    match mask {
        Mask::Full => true,
        Mask::Causal => key <= query,
        Mask::Band { before, after } => within(*before, *after),
        Mask::Listed { runs, before, after } => {
            runs[query / 64].iter().any(|run| (run[0] as usize..run[1] as usize).contains(&key))
                && within(*before, *after)
        }
        Mask::Custom(_) => unreachable!("systems test their own"),
    }
}

#[test]
fn attention_agrees_with_plain_loops_under_every_mask_and_cut() {
    let Some((_guard, gpu)) = device() else { return };
    let far = 1 << 30;
    // Block 1 has no visible keys.
    let runs = vec![vec![[0, 9], [30, 62], [100, 101]], vec![], vec![[128, 150], [0, 32]], vec![[3, 35]]];
    let masks = [
        Mask::Full,
        Mask::Causal,
        Mask::Band { before: 5, after: 0 },
        Mask::Band { before: 40, after: 70 },
        Mask::Band { before: 0, after: 0 },
        Mask::Listed { runs: runs.clone(), before: far, after: far },
        Mask::Listed { runs, before: far, after: 0 },
    ];
    let cut = GpuTarget { max_dispatch_flops: 1 << 20, ..*gpu.target() };
    for (case, (target, batch, length, n_heads, d_head)) in [
        (*gpu.target(), 2, 200, 3, 10),
        (cut, 2, 200, 2, 40),
        (*gpu.target(), 1, 129, 1, 100),
        (cut, 1, 200, 1, 150),
        (*gpu.target(), 1, 65, 1, 300),
        (cut, 1, 130, 2, 64),
    ]
    .into_iter()
    .enumerate()
    {
        for (index, mask) in masks.iter().enumerate() {
            // Every mask with every variant, divided and whole.
            let variant = ["direct", "tiles-8x8", "tiles-4x8"][(case / 2 + index) % 3];
            let target = GpuTarget { is_fallback: variant == "direct", ..target };
            // Long enough that short dispatches divide it along its keys.
            let length = if *mask == Mask::Full || *mask == Mask::Causal { 5 * length } else { length };
            let columns = Columns::heads(n_heads, d_head);
            let [q, k, v] = [8, 9, 10].map(|seed| noise(batch * length * n_heads * d_head, seed));
            let mut builder = Builder::new(&target);
            let [q_at, k_at, v_at] = [&q, &k, &v].map(|data| builder.upload("stream", data, columns));
            let o = builder.stream("o", batch * length, columns);
            TileAttention {
                batch,
                n_queries: length,
                n_keys: length,
                n_heads,
                d_head,
                kv_heads: n_heads,
                mask: mask.clone(),
                scale: 0.7,
                q: q_at,
                k: k_at,
                v: v_at,
                o,
            }
            .record(&mut builder);
            let output = unpack(&mut builder, o, batch * length, columns);
            let mut plan = builder.finish(output).unwrap();
            for choice in plan.choices() {
                plan.choose(choice.class, variant);
            }
            let got = run(&gpu, plan);
            let width = n_heads * d_head;
            // Some rows only, because the loops are slow.
            for row in (0..batch * length).step_by(7) {
                let (sequence, query) = (row / length, row % length);
                for head in 0..n_heads {
                    let index = |position: usize, c: usize| {
                        (sequence * length + position) * width + head * d_head + c
                    };
                    let keys: Vec<usize> = (0..length).filter(|&key| visible(mask, query, key)).collect();
                    let scores: Vec<f64> = keys
                        .iter()
                        .map(|&key| {
                            0.7 * (0..d_head)
                                .map(|c| at(&q, index(query, c)) * at(&k, index(key, c)))
                                .sum::<f64>()
                        })
                        .collect();
                    let highest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                    let total: f64 = scores.iter().map(|score| (score - highest).exp()).sum();
                    let want: Vec<f64> = (0..d_head)
                        .map(|c| {
                            let sum: f64 = keys
                                .iter()
                                .zip(&scores)
                                .map(|(&key, score)| (score - highest).exp() * at(&v, index(key, c)))
                                .sum();
                            if keys.is_empty() { 0.0 } else { sum / total }
                        })
                        .collect();
                    let what = format!("{mask:?} {length} × {n_heads} × {d_head}, row {row}");
                    assert_close(&what, &got[index(query, 0)..][..d_head], &want, 1e-5, 1e-5);
                }
            }
        }
    }
}

/// Convolutions with every transform of a race, whole and by four steps, compared with direct sums.
#[test]
fn long_convolutions_agree_with_direct_sums() {
    let Some((_guard, gpu)) = device() else { return };
    for (batch, length, width) in [
        (1, 1, 1),
        (2, 2, 3),
        (1, 3, 4),
        (2, 5, 40),
        (3, 9, 2),
        (1, 17, 5),
        (2, 64, 6),
        (1, 100, 33),
        (2, 200, 4),
        (1, 511, 9),
        (2, 1024, 5),
        (3, 1025, 12),
        (1, 3000, 7),
        (2, 5000, 40),
        (1, 9000, 6),
        (1, 20_000, 4),
        (1, 40_000, 20),
        (1, 70_000, 4),
        (1, 140_000, 4),
        (1, 300_000, 2),
        (1, 600_000, 1),
    ] {
        let columns = Columns::plain(width);
        // With workgroup memory and, as on software adapters, without; the longest transform is too slow for both.
        for is_fallback in [false, true] {
            if is_fallback && length > 300_000 {
                continue;
            }
            let mut builder = Builder::new(&GpuTarget { is_fallback, ..*gpu.target() });
            let [x, gate_in, gate_out] = [11, 12, 13].map(|seed| noise(batch * length * width, seed));
            let taps = noise(length * width, 14);
            let conv = LongConv::new(&mut builder, [batch, length, width], fft_size(length)).unwrap();
            let taps_at = builder.upload("taps", &taps, columns);
            let filter = conv.filter(&mut builder, taps_at, length);
            let [x_at, in_at, out_at] =
                [&x, &gate_in, &gate_out].map(|data| builder.upload("stream", data, columns));
            let y = builder.stream("y", batch * length, columns);
            conv.apply(&mut builder, &filter, (x_at, Some(in_at)), (y, Some(out_at)));
            let got = result(&gpu, builder, y, batch * length, columns);
            let step = (batch * length / 5).max(1);
            for row in (0..batch * length).step_by(step).chain([batch * length - 1]) {
                let (start, t) = (row / length * length, row % length);
                let want: Vec<f64> = (0..width)
                    .map(|c| {
                        let sum: f64 = (0..=t)
                            .map(|s| {
                                let from = (start + t - s) * width + c;
                                at(&taps, s * width + c) * at(&x, from) * at(&gate_in, from)
                            })
                            .sum();
                        sum * at(&gate_out, row * width + c)
                    })
                    .collect();
                // A full sum of products of uniform numbers is about √length / 5; a transform's error is relative to
                // the largest value.
                let scale = (length as f64).sqrt() / 5.0;
                let what = format!("{batch} × {length} × {width}, row {row}, software {is_fallback}");
                assert_close(&what, &got[row * width..][..width], &want, 2e-6 * scale, 0.0);
            }
        }
    }
}

/// Taps in the upper half of the transform multiply later inputs.
#[test]
fn two_sided_convolutions_wrap_around() {
    let Some((_guard, gpu)) = device() else { return };
    for (length, is_fallback) in
        [(6, false), (6, true), (100, true), (100, false), (1500, false), (1500, true)]
    {
        let (width, size) = (3, fft_size(length));
        let columns = Columns::plain(width);
        let mut builder = Builder::new(&GpuTarget { is_fallback, ..*gpu.target() });
        let (x, taps) = (noise(length * width, 15), noise(size * width, 16));
        let conv = LongConv::new(&mut builder, [1, length, width], size).unwrap();
        let taps_at = builder.upload("taps", &taps, columns);
        let filter = conv.filter(&mut builder, taps_at, size);
        let x_at = builder.upload("x", &x, columns);
        let y = builder.stream("y", length, columns);
        conv.apply(&mut builder, &filter, (x_at, None), (y, None));
        let got = result(&gpu, builder, y, length, columns);
        let mut want = Vec::new();
        for t in 0..length {
            for c in 0..width {
                want.push(
                    (0..length)
                        .map(|s| at(&x, s * width + c) * at(&taps, (size + t - s) % size * width + c))
                        .sum(),
                );
            }
        }
        assert_close(&format!("{length}"), &got, &want, 2e-6 * (length as f64).sqrt(), 1e-5);
    }
}

#[test]
fn short_convolutions_agree_with_plain_loops() {
    let Some((_guard, gpu)) = device() else { return };
    for (batch, length, width, taps) in [(1, 1, 1, 3), (2, 2, 5, 4), (2, 50, 12, 1), (1, 133, 6, 7)] {
        let columns = Columns::plain(width);
        let [x, g] = [17, 18].map(|seed| noise(batch * length * width, seed));
        let [wx, wg] = [19, 20].map(|seed| noise(width * taps, seed));
        let [bx, bg] = [21, 22].map(|seed| noise(width, seed));
        for gated in [false, true] {
            let mut builder = Builder::new(gpu.target());
            let x_at = builder.upload("x", &x, columns);
            let g_at = builder.upload("g", &g, columns);
            let x_short = ShortFilter::upload(&mut builder, &wx, Some(&bx), taps, columns);
            let g_short = ShortFilter::upload(&mut builder, &wg, Some(&bg), taps, columns);
            let y = builder.stream("y", batch * length, columns);
            let sizes = [batch, length, width];
            let gate = gated.then_some((g_at, g_short));
            short_conv(&mut builder, sizes, (x_at, x_short), Activation::Tanh, gate, y);
            let got = result(&gpu, builder, y, batch * length, columns);
            let mut want = Vec::new();
            for row in 0..batch * length {
                for c in 0..width {
                    let conv = |x: &[f32], w: &[f32], b: &[f32]| {
                        let reach = taps.min(row % length + 1);
                        let products = (0..reach)
                            .map(|age| at(w, c * taps + taps - 1 - age) * at(x, (row - age) * width + c));
                        at(b, c) + products.sum::<f64>()
                    };
                    let gate = if gated { conv(&g, &wg, &bg) } else { 1.0 };
                    want.push(conv(&x, &wx, &bx).tanh() * gate);
                }
            }
            assert_close(&format!("{length} × {width}, {taps} taps"), &got, &want, 2e-6, 1e-5);
        }
    }
}

/// Whole systems at lengths with four-step transforms and divided dispatches, checked where the reference is fast
/// enough.
#[test]
fn long_systems_pass_their_spot_checks() {
    let Some((_guard, gpu)) = device() else { return };
    let base = Problem {
        batch: 1,
        seq_len: 0,
        d_model: 16,
        n_heads: 2,
        causal: true,
        level: Level::Layer,
        seed: 3,
        task: mixer::Task::Forward,
    };
    let one = |name: &str, value: usize| {
        let mut params = Params::new();
        params.set(name, value);
        params
    };
    let order = |order: usize| one("order", order);
    let cases = [
        ("hyena", Problem { seq_len: 150, ..base }, order(8)),
        ("hyena", Problem { seq_len: 1100, level: Level::Core, ..base }, order(5)),
        ("hyena", Problem { seq_len: 3000, batch: 2, ..base }, order(3)),
        ("hyena", Problem { seq_len: 20_000, ..base }, Params::new()),
        ("attention", Problem { seq_len: 6000, d_model: 32, ..base }, Params::new()),
        ("attention-naive", Problem { seq_len: 2000, ..base }, Params::new()),
        ("longformer", Problem { seq_len: 6000, ..base }, one("dilation", 2)),
        ("longformer", Problem { seq_len: 6000, causal: false, ..base }, one("n_global", 3)),
        ("bigbird", Problem { seq_len: 6000, batch: 2, ..base }, Params::new()),
        ("reformer", Problem { seq_len: 6000, ..base }, one("chunk_length", 16)),
        ("reformer", Problem { seq_len: 5000, level: Level::Core, batch: 2, ..base }, one("num_hashes", 3)),
    ];
    for (id, problem, params) in cases {
        for max_dispatch_flops in [gpu.target().max_dispatch_flops, 1 << 24] {
            let system = kernels::find(id).unwrap();
            let case = system.seeded_case(&problem, &params).unwrap();
            let plan = system.gpu(&case, &GpuTarget { max_dispatch_flops, ..*gpu.target() }).unwrap();
            let got = run(&gpu, plan);
            let spot =
                system.spot_check(&case, SpotDraw { seed: 5, max_flops: 1 << 24, first_row: 0 }).unwrap();
            let deviation = spot.compare(system.info().tolerance, &got);
            assert!(deviation.pass, "{id} at {}: {deviation:?}", problem.seq_len);
        }
    }
}

#[test]
fn sorting_agrees_with_the_library_sort() {
    let Some((_guard, gpu)) = device() else { return };
    // One digit and several; less than a tile and several tiles.
    for (lists, n, bound) in [(1, 1, 1), (3, 100, 7), (2, 1024, 17), (3, 5000, 300), (1, 20_000, 70_000)] {
        let keys: Vec<u32> =
            noise(lists * n, 7).into_iter().map(|x| (x.abs() * 1e5) as u32 % bound).collect();
        let mut builder = Builder::new(gpu.target());
        let at = builder.upload_words("keys", keys.clone());
        let order = stable_sort(&mut builder, at, [lists, n], bound as usize);
        let got = run(&gpu, builder.finish(order).unwrap());
        for (keys, got) in keys.chunks(n).zip(got.chunks(n)) {
            let mut want: Vec<usize> = (0..n).collect();
            want.sort_by_key(|&index| keys[index]);
            assert!(got.iter().map(|got| got.to_bits() as usize).eq(want), "{lists} × {n} below {bound}");
        }
    }
}

#[test]
fn norms_agree_with_their_definitions() {
    let Some((_guard, gpu)) = device() else { return };
    for (rows, width) in [(1, 1), (5, 7), (3, 64), (70, 301)] {
        let columns = Columns::plain(width);
        let [x, weight, bias] = [(23, rows), (24, 1), (25, 1)].map(|(seed, rows)| noise(rows * width, seed));
        for layer in [true, false] {
            let mut builder = Builder::new(gpu.target());
            let x_at = builder.upload("x", &x, columns);
            let y = builder.stream("y", rows, columns);
            let how = if layer { Norm::upload(&mut builder, &weight, &bias) } else { Norm::Scale(1.5) };
            norm(&mut builder, x_at, how, 1e-5, y, [rows, width]);
            let got = result(&gpu, builder, y, rows, columns);
            let mut want = Vec::new();
            for row in x.chunks(width) {
                let n = width as f64;
                let mean = if layer { row.iter().map(|&x| f64::from(x)).sum::<f64>() / n } else { 0.0 };
                let squares: f64 = row.iter().map(|&x| (f64::from(x) - mean).powi(2)).sum();
                let factor = 1.0 / (squares / n + 1e-5).sqrt();
                want.extend(row.iter().enumerate().map(|(c, &x)| {
                    let centred = (f64::from(x) - mean) * factor;
                    if layer { centred * at(&weight, c) + at(&bias, c) } else { 1.5 * centred }
                }));
            }
            assert_close(&format!("{rows} × {width} {layer}"), &got, &want, 2e-5, 1e-5);
        }
    }
}

#[test]
fn rows_move_transpose_and_add_up() {
    let Some((_guard, gpu)) = device() else { return };
    for (batch, rows, width) in [(1, 1, 1), (2, 5, 7), (3, 70, 33), (1, 33, 100)] {
        let columns = Columns::plain(width);
        let x = noise(batch * rows * width, 26);
        let order: Vec<u32> = (0..batch * rows).map(|i| ((i * 7 + 3) % rows) as u32).collect();
        let row_of = |sequence: usize, row: usize| &x[(sequence * rows + row) * width..][..width];

        let mut builder = Builder::new(gpu.target());
        let x_at = builder.upload("x", &x, columns);
        let index = builder.upload_words("order", order.clone());
        let gathered = builder.stream("gathered", batch * rows, columns);
        let shape = [batch, rows, width];
        move_rows(&mut builder, Move::Gather, (x_at, rows), (index, 0), (gathered, rows), shape);
        let got = result(&gpu, builder, gathered, batch * rows, columns);
        let want: Vec<f32> =
            (0..batch * rows).flat_map(|i| row_of(i / rows, order[i] as usize)).copied().collect();
        assert_eq!(got, want);

        // Scattering by a permutation is the inverse of gathering.
        if rows % 7 != 0 {
            let mut builder = Builder::new(gpu.target());
            let x_at = builder.upload("x", &want, columns);
            let index = builder.upload_words("order", order);
            let back = builder.stream("back", batch * rows, columns);
            move_rows(&mut builder, Move::Scatter, (x_at, rows), (index, 0), (back, rows), shape);
            assert_eq!(result(&gpu, builder, back, batch * rows, columns), x);
        }

        let mut builder = Builder::new(gpu.target());
        let x_at = builder.upload("x", &x, columns);
        let y = builder.stream("y", batch * width, Columns::plain(rows));
        let (x_batch, y_batch) = (rows * x_at.stride, width * y.stride);
        transpose(&mut builder, (x_at, x_batch), (y, y_batch), shape);
        let got = result(&gpu, builder, y, batch * width, Columns::plain(rows));
        for (i, &value) in got.iter().enumerate() {
            let (sequence, column, row) = (i / (rows * width), i / rows % width, i % rows);
            assert_eq!(value, row_of(sequence, row)[column]);
        }

        for exclusive in [false, true] {
            let mut builder = Builder::new(gpu.target());
            let x_at = builder.upload("x", &x, columns);
            let y = builder.stream("y", batch * rows, columns);
            let axis = |stream: Stream| Axis { stream, outer: rows * stream.stride };
            prefix_sum(&mut builder, axis(x_at), axis(y), exclusive, shape);
            let got = result(&gpu, builder, y, batch * rows, columns);
            let mut want = Vec::new();
            for i in 0..batch * rows {
                let end = i % rows + usize::from(!exclusive);
                want.extend((0..width).map(|c| (0..end).map(|t| at(row_of(i / rows, t), c)).sum::<f64>()));
            }
            assert_close("prefix sum", &got, &want, 1e-5, 1e-5);
        }
    }
}

/// Constant inputs weight all keys equally, however large their scores. A NaN is an error and never hidden.
#[test]
fn fault_10_constant_huge_and_nan_inputs() {
    let Some((_guard, gpu)) = device() else { return };
    let problem = Problem {
        batch: 1,
        seq_len: 100,
        d_model: 20,
        n_heads: 2,
        causal: true,
        level: Level::Core,
        seed: 0,
        task: mixer::Task::Forward,
    };
    for id in ["attention", "attention-naive"] {
        let system = kernels::find(id).unwrap();
        for value in [0.0, 1.0, -3.5, 1e4, f32::NAN] {
            let mut case = system.seeded_case(&problem, &Params::new()).unwrap();
            for name in ["q", "k", "v"] {
                case.tensors.insert(name, &[1, 100, 20], vec![value; 2000]);
            }
            for is_fallback in [false, true] {
                let plan = system.gpu(&case, &GpuTarget { is_fallback, ..*gpu.target() }).unwrap();
                let outcome = block_on(async {
                    let mut lane = GpuLane::new(&gpu, plan, &CancelSwitch::default()).await.unwrap();
                    lane.run(1).await.map(|_| ())?;
                    lane.output().await
                });
                match outcome {
                    Ok(output) => {
                        assert!(
                            output.iter().all(|got| (got - value).abs() <= 1e-5 * value.abs()),
                            "{id}: {value}"
                        );
                    }
                    Err(error) => assert!(value.is_nan() && error.code() == "not-finite", "{id}: {error}"),
                }
            }
        }
    }
}
