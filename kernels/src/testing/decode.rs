//! The tests that every decoder passes: token by token, in pieces of any size and after a rewind, it answers as the
//! forward pass over all tokens.

use std::sync::Arc;

use mixer::{
    Case, CpuDecoder, DecodeMemory, Level, Memory, Parallel, Params, Problem, Serial, System, Task, Tensor,
    TokenInput, Tokens,
};

use super::{GIB, PROBLEM, Threads, bits, edge_problems, goldens};

/// Batch and length of a case. A filter may be shorter than the input: then so is the output.
fn sizes(case: &Case) -> [usize; 2] {
    let [batch, length] = ["batch", "length"].map(|name| case.config.count(name, 1, usize::MAX).unwrap());
    [batch, length.min(case.config.count_or("l_max", length, 1, usize::MAX).unwrap())]
}

/// The case with the definition of its outputs by which decoding is checked: no output depends on later tokens.
pub(crate) fn defined_for_decoding(case: &Case) -> Case {
    let mut case = case.clone();
    case.config.set("decode", true);
    case
}

/// The inputs of `count` tokens from position `first` on, one vector for each input.
fn tokens(case: &Case, inputs: &[TokenInput], first: usize, count: usize) -> Vec<Vec<f32>> {
    let of = |input: &TokenInput| {
        let Some(Tensor::F32 { data, shape }) = case.tensors.get(input.name) else {
            panic!("{}", input.name)
        };
        data.chunks_exact(shape[1] * input.width)
            .flat_map(|sequence| &sequence[first * input.width..][..count * input.width])
            .copied()
            .collect()
    };
    inputs.iter().map(of).collect()
}

/// A decoder with the inputs of its tokens.
struct Fed {
    case: Arc<Case>,
    inputs: Vec<TokenInput>,
    decoder: Box<dyn CpuDecoder>,
    memory: DecodeMemory,
}

impl Fed {
    fn new(system: &System, case: &Case, parallel: &dyn Parallel) -> Self {
        let (case, memory) = (Arc::new(case.clone()), DecodeMemory::new(&Memory::new(8 * GIB)));
        let inputs = system.token_inputs(&case).unwrap();
        let decoder = system.decoder(&case, &memory, parallel).unwrap();
        Self { case, inputs, decoder, memory }
    }

    /// The answers `[batch, count, width]` to the next `count` tokens.
    fn answer(&mut self, count: usize, width: usize, parallel: &dyn Parallel) -> Vec<f32> {
        let [batch, _] = sizes(&self.case);
        let mut output = vec![f32::NAN; batch * count * width];
        self.advance(count, Some(&mut output), parallel);
        output
    }

    fn advance(&mut self, count: usize, output: Option<&mut [f32]>, parallel: &dyn Parallel) {
        let tokens = tokens(&self.case, &self.inputs, self.decoder.position(), count);
        let inputs: Vec<&[f32]> = tokens.iter().map(Vec::as_slice).collect();
        self.decoder.advance(Tokens { count, inputs: &inputs }, output, parallel).unwrap();
    }
}

/// Rows of an output by their indices in `[batch · length]`, as answered by calls with as many tokens as `pieces` gives in
/// turn. A piece marked `false` changes the state only.
fn decoded(
    system: &System,
    case: &Case,
    width: usize,
    pieces: &mut dyn FnMut() -> (usize, bool),
    parallel: &dyn Parallel,
) -> Vec<(usize, Vec<f32>)> {
    let mut fed = Fed::new(system, case, parallel);
    let [_, length] = sizes(case);
    let mut answered = Vec::new();
    let mut at = 0;
    while at < length {
        let (count, is_answered) = pieces();
        let count = count.min(length - at).min(fed.decoder.piece());
        if is_answered {
            let rows = fed.answer(count, width, parallel);
            let index = |row: usize| row / count * length + at + row % count;
            answered.extend(rows.chunks_exact(width).enumerate().map(|(row, y)| (index(row), y.to_vec())));
        } else {
            fed.advance(count, None, parallel);
        }
        at += count;
        assert_eq!(fed.decoder.position(), at);
    }
    assert!(answered.len() > 3 || length < 45);
    answered
}

/// The answered rows and those of `want`, one after another.
fn pairs(answered: &[(usize, Vec<f32>)], want: &[f64], width: usize) -> (Vec<f32>, Vec<f64>) {
    let got = answered.iter().flat_map(|(_, row)| row).copied().collect();
    (got, answered.iter().flat_map(|&(index, _)| &want[index * width..][..width]).copied().collect())
}

/// Ways to bring a sequence: tokens one by one, all at once, and pieces of changing sizes, some without answers.
fn ways() -> Vec<Box<dyn FnMut() -> (usize, bool)>> {
    let cycle = |sizes: &'static [(usize, bool)]| {
        let mut next = sizes.iter().cycle();
        Box::new(move || *next.next().unwrap()) as Box<dyn FnMut() -> (usize, bool)>
    };
    vec![
        cycle(&[(1, true)]),
        cycle(&[(usize::MAX, true)]),
        cycle(&[(5, true), (1, true), (1, true), (17, true), (2, false), (1, true), (64, true)]),
        cycle(&[(40, false), (1, true), (1, true), (1, false), (3, true)]),
    ]
}

/// Compares the rows that were answered with `want`.
pub(crate) fn agree(system: &System, case: &Case, want: &[f64], tolerance: mixer::Tolerance) {
    let [batch, length] = sizes(case);
    let width = want.len() / (batch * length);
    for (way, mut pieces) in ways().into_iter().enumerate() {
        for threads in [1, 3] {
            if threads == 3 && way == 0 && length > 100 {
                continue;
            }
            let answered = decoded(system, case, width, &mut *pieces, &Threads(threads));
            if answered.is_empty() {
                continue;
            }
            let (got, want) = pairs(&answered, want, width);
            let deviation = tolerance.compare_rows(&got, &want, width);
            assert!(deviation.pass, "{:?}, way {way}, {threads} threads: {deviation:?}", case.config);
        }
    }
}

/// Decodes every golden file whose form decodes; there must be at least one.
pub(crate) fn golden_parity(system: &System, folder: &str) {
    let mut decoded = 0;
    for golden in goldens(folder) {
        if system.token_inputs(&golden.case).is_ok() {
            decoded += 1;
            let [batch, length] = sizes(&golden.case);
            let width = golden.y.len() / (batch * length);
            for mut pieces in ways() {
                let answered = self::decoded(system, &golden.case, width, &mut *pieces, &Serial);
                let (got, want) = pairs(&answered, &golden.y, width);
                let deviation = golden.tolerance.compare_f32(&got, &want);
                assert!(deviation.pass, "{}: {deviation:?}", golden.name);
            }
        }
    }
    assert!(decoded > 0);
}

/// As [`golden_parity`], for a system whose published form sees the future, so that decoding is another function than the
/// files' y: every row is compared with the reference by the definition of decoding, at the file's own tolerance, and the
/// last row of each sequence, where both are one function, with y.
pub(crate) fn golden_definition(system: &System, folder: &str) {
    let mut decoded = 0;
    for golden in goldens(folder) {
        if system.token_inputs(&golden.case).is_ok() {
            decoded += 1;
            let [batch, length] = sizes(&golden.case);
            let width = golden.y.len() / (batch * length);
            let want = system.reference(&defined_for_decoding(&golden.case)).unwrap();
            for mut pieces in ways() {
                let answered = self::decoded(system, &golden.case, width, &mut *pieces, &Serial);
                let (got, want) = pairs(&answered, &want, width);
                let deviation = golden.tolerance.compare_f32(&got, &want);
                assert!(deviation.pass, "{}: {deviation:?}", golden.name);
            }
            let whole = self::decoded(system, &golden.case, width, &mut || (usize::MAX, true), &Serial);
            let steps = self::decoded(system, &golden.case, width, &mut || (1, true), &Serial);
            for rows in [whole, steps] {
                let last: Vec<_> =
                    rows.into_iter().filter(|(index, _)| index % length == length - 1).collect();
                assert_eq!(last.len(), batch);
                let (got, want) = pairs(&last, &golden.y, width);
                let deviation = golden.tolerance.compare_f32(&got, &want);
                assert!(deviation.pass, "{}: last row {deviation:?}", golden.name);
            }
        }
    }
    assert!(decoded > 0);
}

/// Seeded cases of many shapes, with each of `params`, decode as the reference says.
pub(crate) fn agrees_with_reference(system: &System, params: impl Fn(&Problem) -> Vec<Params>) {
    let causal = edge_problems().into_iter().filter(|problem| problem.causal);
    let batched = Problem { batch: 3, seq_len: 45, d_model: 24, n_heads: 2, ..PROBLEM };
    for problem in causal.chain([Level::Core, Level::Layer].map(|level| Problem { level, ..batched })) {
        for params in params(&problem) {
            let case = system.seeded_case(&problem, &params).unwrap();
            if system.token_inputs(&case).is_ok() {
                let want = system.reference(&defined_for_decoding(&case)).unwrap();
                agree(system, &case, &want, system.info().tolerance);
            }
        }
    }
}

/// Rewinding and clearing lead to the same numbers again, bit by bit.
pub(crate) fn returns_to_its_mark(system: &System, params: &Params) {
    for level in [Level::Core, Level::Layer] {
        let problem = Problem { batch: 2, seq_len: 90, level, ..PROBLEM };
        let case = system.seeded_case(&problem, params).unwrap();
        let width = system.reference(&case).unwrap().len() / 180;
        let mut fed = Fed::new(system, &case, &Serial);
        let prompt = fed.answer(33, width, &Serial);
        fed.decoder.mark();
        let steps = |fed: &mut Fed| -> Vec<u32> {
            (0..40).flat_map(|_| bits(&fed.answer(1, width, &Serial))).collect()
        };
        let first = steps(&mut fed);
        for _ in 0..2 {
            fed.decoder.rewind();
            assert_eq!(fed.decoder.position(), 33);
            assert_eq!(steps(&mut fed), first);
        }
        fed.decoder.clear();
        assert_eq!(fed.decoder.position(), 0);
        assert_eq!(bits(&fed.answer(33, width, &Serial)), bits(&prompt));
        assert_eq!(steps(&mut fed), first);
        let tokens = tokens(&case, &fed.inputs, 0, 18);
        let inputs: Vec<&[f32]> = tokens.iter().map(Vec::as_slice).collect();
        let refused = fed.decoder.advance(Tokens { count: 18, inputs: &inputs }, None, &Serial);
        assert!(matches!(refused, Err(mixer::MixerError::InvalidField { field, .. }) if field == "tokens"));
        assert_eq!(fed.decoder.position(), 73);
    }
}

/// The state that the ledger counts is the one of the closed form, and so is all memory of a decoder on one thread.
pub(crate) fn states_its_memory(system: &System, params: impl Fn(&Problem) -> Vec<Params>) {
    for level in [Level::Core, Level::Layer] {
        for (seq_len, batch) in [(64, 1), (1000, 1), (300, 3)] {
            let problem = Problem { seq_len, batch, level, task: Task::Decode { tokens: 30 }, ..PROBLEM };
            for params in params(&problem) {
                let Ok(cost) = system.cost(&problem, &params) else { continue };
                let case = system.seeded_case(&problem, &params).unwrap();
                let mut fed = Fed::new(system, &case, &Serial);
                let width = problem.d_model;
                while fed.decoder.position() < seq_len {
                    let count = fed.decoder.piece().min(seq_len - fed.decoder.position());
                    fed.answer(count, width, &Serial);
                }
                fed.decoder.mark();
                fed.answer(1, width, &Serial);
                let (state, peak) = (fed.memory.state.used_bytes(), fed.memory.work.peak_bytes());
                assert_eq!(cost.decode_state_bytes, state, "{problem:?} {params:?}");
                assert_eq!(cost.peak_bytes, peak + case.tensors.bytes(), "{problem:?} {params:?}");
            }
        }
    }
}

/// The tests of a decoder. `$params` gives the parameters to try at a problem; `$golden` compares with golden files,
/// [`golden_parity`] unless stated.
macro_rules! decode_battery {
    ($system:ident, $folder:literal, $params:expr) => {
        $crate::testing::decode::decode_battery!(
            $system,
            $folder,
            $params,
            $crate::testing::decode::golden_parity
        );
    };
    ($system:ident, $folder:literal, $params:expr, $golden:path) => {
        mod decoding {
            use super::*;

            #[test]
            fn golden_files_decode_token_by_token_and_in_pieces() {
                $golden(&$system, $folder);
            }

            #[test]
            fn decodes_as_the_reference_of_the_forward_pass_says() {
                $crate::testing::decode::agrees_with_reference(&$system, $params);
            }

            #[test]
            fn a_rewound_decoder_repeats_itself() {
                for params in ($params)(&$crate::testing::PROBLEM) {
                    $crate::testing::decode::returns_to_its_mark(&$system, &params);
                }
            }

            #[test]
            fn stated_state_and_memory_are_what_decoding_takes() {
                $crate::testing::decode::states_its_memory(&$system, $params);
            }
        }
    };
}
pub(crate) use decode_battery;
