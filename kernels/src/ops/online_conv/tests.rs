use mixer::{DecodeMemory, Memory, Serial};
use proptest::prelude::*;

use super::plan::{FIRST_BLOCK, LAST_BLOCK};
use super::*;
use crate::ops::fft::Row;
use crate::testing::Threads;

fn value(index: usize) -> f32 {
    ((index * 7919) % 1013) as f32 / 500.0 - 1.0
}

/// A filter that falls with the lag, so that sums stay of the size of their first terms.
fn tap(set: usize, channel: usize, lag: usize) -> f32 {
    value(set * 31 + channel * 17 + lag * 3) / (1.0 + lag as f32 / 50.0)
}

fn input(set: usize, sequence: usize, channel: usize, t: usize) -> f32 {
    value(set * 5 + sequence * 11 + channel * 13 + t)
}

fn conv(shape: Shape, method: Method) -> OnlineConv {
    let memory = DecodeMemory::new(&Memory::new(1 << 30));
    let taps = Taps::new(&memory.work, shape, tap).unwrap();
    OnlineConv::new(&memory, shape, method, taps, 3).unwrap()
}

/// Answers of one call for `count` tokens, `[groups, sets, batch, count]` rows. Inputs are fed from `input`.
fn call(
    conv: &mut OnlineConv,
    position: usize,
    count: usize,
    is_answered: bool,
    parallel: &dyn Parallel,
) -> Vec<Row> {
    let shape = conv.plan.shape;
    let per_set = shape.batch * count;
    let mut rows = vec![[0.0; GROUP]; shape.groups() * shape.sets * per_set];
    let parts = rows.chunks_exact_mut(shape.sets * per_set).enumerate();
    conv.advance(Span { position, count }, parallel, parts, |channels, (group, part)| {
        for (set, rows) in part.chunks_exact_mut(per_set).enumerate() {
            for (index, row) in rows.iter_mut().enumerate() {
                let (sequence, t) = (index / count, position + index % count);
                *row = std::array::from_fn(|lane| input(set, sequence, group * GROUP + lane, t));
            }
            channels.convolve(set, rows, is_answered);
        }
    });
    rows
}

/// y\[t\] of a channel in f64.
fn want(set: usize, sequence: usize, channel: usize, t: usize) -> f64 {
    let term = |i: usize| f64::from(tap(set, channel, t - i)) * f64::from(input(set, sequence, channel, i));
    (0..=t).map(term).sum()
}

/// Compares a call's answers with the definition; for long sequences only the first channel of each group.
fn assert_answers(shape: Shape, rows: &[Row], position: usize, count: usize, is_sampled: bool) {
    let lanes = if is_sampled { 1 } else { GROUP };
    for (index, row) in rows.iter().enumerate() {
        let (panel, j) = (index / count, index % count);
        let (group, set, sequence) =
            (panel / shape.batch / shape.sets, panel / shape.batch % shape.sets, panel % shape.batch);
        if is_sampled && j % 61 != 0 && j + 1 != count {
            continue;
        }
        for (lane, got) in row.iter().enumerate().take(lanes) {
            let channel = group * GROUP + lane;
            if channel < shape.width {
                let want = want(set, sequence, channel, position + j);
                let at = position + j;
                assert!((f64::from(*got) - want).abs() < 2e-3, "{shape:?}, {at}, set {set}: {got} {want}");
            }
        }
    }
}

const METHODS: [Method; 2] = [Method::Direct, Method::Online];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_pieces_equal_the_definition(
        capacity in 1_usize..700, batch in 1_usize..3, sets in 1_usize..3, width in 1_usize..12,
        pieces in prop::collection::vec((prop_oneof![Just(1_usize), 1_usize..9, 60_usize..400], any::<bool>()), 1..200),
    ) {
        let shape = Shape { batch, capacity, width, sets };
        for method in METHODS {
            let (mut conv, mut position) = (conv(shape, method), 0);
            for (count, is_answered) in &pieces {
                let count = (*count).min(capacity - position).min(shape.piece());
                if count == 0 {
                    break;
                }
                let rows = call(&mut conv, position, count, *is_answered, &Threads(3));
                if *is_answered {
                    assert_answers(shape, &rows, position, count, false);
                }
                position += count;
            }
        }
    }
}

/// Enough tokens for the largest blocks and for a new start after them, behind a prompt and from the first token on.
#[test]
fn long_runs_equal_the_definition() {
    let shape = Shape { batch: 1, capacity: 6000, width: 3, sets: 1 };
    for prompt in [0, 1000, 4096] {
        let mut conv = conv(shape, Method::Online);
        let mut position = 0;
        while position < shape.capacity {
            let count = if position == 0 && prompt > 0 { prompt } else { 1 };
            let rows = call(&mut conv, position, count, true, &Serial);
            if count > 1 || position % 37 == 0 || (position + 1) % 512 < 2 {
                assert_answers(shape, &rows, position, count, true);
            }
            position += count;
        }
    }
}

#[test]
fn long_prompts_and_continuations_equal_the_definition() {
    let shape = Shape { batch: 2, capacity: 5000, width: 9, sets: 1 };
    for method in METHODS {
        let mut conv = conv(shape, method);
        for (position, count) in [(0, 4096), (4096, 1), (4097, 300), (4397, 1), (4398, 602)] {
            let rows = call(&mut conv, position, count, true, &Threads(2));
            assert_answers(shape, &rows, position, count, true);
        }
    }
}

/// With ones as inputs and as taps, an output is the number of its inputs, in whole numbers.
#[test]
fn every_pair_is_covered_once() {
    let shape = Shape { batch: 1, capacity: 300, width: 1, sets: 1 };
    let memory = DecodeMemory::new(&Memory::new(1 << 28));
    for prompt in [1, 2, 77, 256] {
        let taps = Taps::new(&memory.work, shape, |_, _, _| 1.0).unwrap();
        let mut conv = OnlineConv::new(&memory, shape, Method::Online, taps, 1).unwrap();
        let mut position = 0;
        while position < shape.capacity {
            let count = if position == 0 { prompt } else { 1 };
            let mut rows = vec![[1.0; GROUP]; count];
            let span = Span { position, count };
            conv.advance(span, &Serial, std::iter::once(&mut rows), |channels, rows| {
                channels.convolve(0, rows, true);
            });
            for (row, inputs) in rows.iter().zip(position + 1..) {
                assert!((row[0] - inputs as f32).abs() < 1e-2, "{inputs}: {}", row[0]);
            }
            position += count;
        }
    }
}

#[test]
fn a_mark_restores_sums_and_blocks() {
    let shape = Shape { batch: 1, capacity: 600, width: 8, sets: 1 };
    for (method, marked) in METHODS.into_iter().flat_map(|method| [(method, 0), (method, 200), (method, 333)])
    {
        let mut conv = conv(shape, method);
        if marked > 0 {
            call(&mut conv, 0, 200, true, &Serial);
        }
        (200..marked).for_each(|t| drop(call(&mut conv, t, 1, true, &Serial)));
        conv.mark();
        let run = |conv: &mut OnlineConv| {
            (marked..600).flat_map(|t| call(conv, t, 1, true, &Serial)).collect::<Vec<_>>()
        };
        let first = run(&mut conv);
        conv.rewind(marked);
        assert!(run(&mut conv) == first, "{method:?} from {marked}");
        conv.clear();
        let rows = call(&mut conv, 0, 100, true, &Serial);
        assert_answers(shape, &rows, 0, 100, false);
    }
}

#[test]
fn blocks_have_spectra_up_to_the_largest() {
    let shape = Shape { batch: 1, capacity: 3 * LAST_BLOCK, width: 1, sets: 1 };
    let plan = &conv(shape, Method::Online).plan;
    assert!(plan.block(FIRST_BLOCK / 2).is_none());
    assert!(plan.block(FIRST_BLOCK).is_some() && plan.block(LAST_BLOCK).is_some());
    assert!(conv(shape, Method::Direct).plan.block(FIRST_BLOCK).is_none());
}
