//! The tests that every system passes: golden parity, agreement with the f64 reference over random shapes, causality,
//! batch independence, determinism, correct costs. A system's `tests.rs` calls them and adds its special properties.

pub(crate) mod decode;

use std::path::Path;
use std::sync::Arc;

use mixer::{
    Case, GpuTarget, Level, Memory, OpCount, Parallel, Params, Problem, Serial, SpotCheck, SpotDraw, System,
    Tensor, Tensors, Tolerance, Value,
};
use safetensors::SafeTensors;

use crate::model::{self, Model};

pub(crate) const GIB: u64 = 1 << 30;

/// A golden file for the tests.
pub(crate) struct Golden {
    pub name: String,
    pub case: Case,
    pub y: Vec<f64>,
    pub tolerance: Tolerance,
}

/// All golden files of one folder of `kernels/golden`.
pub(crate) fn goldens(folder: &str) -> Vec<Golden> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(!paths.is_empty());
    paths.iter().map(|path| golden(path)).collect()
}

fn golden(path: &Path) -> Golden {
    let bytes = std::fs::read(path).unwrap();
    let (_, metadata) = SafeTensors::read_metadata(&bytes).unwrap();
    let header = metadata.metadata().clone().unwrap();
    let mut tensors = Tensors::new();
    for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
        let words = view.data().chunks_exact(4).map(|word| <[u8; 4]>::try_from(word).unwrap());
        match view.dtype() {
            safetensors::Dtype::F32 => {
                tensors.insert(name, view.shape(), words.map(f32::from_le_bytes).collect());
            }
            safetensors::Dtype::I32 => {
                tensors.insert_i32(name, view.shape(), words.map(i32::from_le_bytes).collect());
            }
            other => panic!("{name}: {other:?}"),
        }
    }
    let json = |key: &str| serde_json::from_str::<serde_json::Value>(&header[key]).unwrap();
    let mut config = Params::new();
    for (name, value) in json("config").as_object().unwrap() {
        config.set(name, convert(value));
    }
    let tolerance = json("tolerance");
    let y = match tensors.get("y") {
        Some(Tensor::F32 { data, .. }) => data.iter().map(|&value| f64::from(value)).collect(),
        other => panic!("y: {other:?}"),
    };
    // The filter is computed in f64 here, so the tolerance for a given filter applies.
    let abs = tolerance.get("abs_given_k").unwrap_or(&tolerance["abs"]).as_f64().unwrap();
    Golden {
        name: path.file_stem().unwrap().to_string_lossy().into_owned(),
        case: Case {
            level: if header["level"] == "core" { Level::Core } else { Level::Layer },
            config,
            tensors,
        },
        y,
        tolerance: Tolerance { abs, rel: tolerance["rel"].as_f64().unwrap() },
    }
}

fn convert(value: &serde_json::Value) -> Value {
    match value {
        serde_json::Value::Bool(flag) => Value::Bool(*flag),
        serde_json::Value::Number(number) => {
            number.as_i64().map_or_else(|| Value::Float(number.as_f64().unwrap()), Value::Int)
        }
        serde_json::Value::String(text) => Value::Text(text.clone()),
        serde_json::Value::Array(values) => Value::List(values.iter().map(convert).collect()),
        _ => Value::Null,
    }
}

/// Several threads with dynamic distribution of tasks.
pub(crate) struct Threads(pub usize);

impl Parallel for Threads {
    fn threads(&self) -> usize {
        self.0
    }

    fn run(&self, n_tasks: usize, task: &(dyn Fn(usize, usize) + Sync)) {
        let next = std::sync::atomic::AtomicUsize::new(0);
        std::thread::scope(|scope| {
            for worker in 0..self.0 {
                let next = &next;
                scope.spawn(move || {
                    loop {
                        let task_idx = next.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
                        if task_idx >= n_tasks {
                            break;
                        }
                        task(task_idx, worker);
                    }
                });
            }
        });
    }
}

/// The CPU kernel's output, computed twice to detect state left over from the first run.
pub(crate) fn cpu(system: &System, case: &Case, parallel: &dyn Parallel) -> Vec<f32> {
    let case = Arc::new(case.clone());
    let mut kernel = system.cpu(&case, &Memory::new(8 * GIB), parallel).unwrap();
    kernel.run(parallel).unwrap();
    let first = kernel.output().to_vec();
    kernel.run(parallel).unwrap();
    assert_eq!(bits(&first), bits(kernel.output()), "a second run differs");
    first
}

pub(crate) fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// Compares the f64 reference with every golden file of `folder` to nearly f32 precision, and the CPU kernel to the
/// file's tolerance.
pub(crate) fn golden_parity(system: &System, folder: &str) {
    for golden in goldens(folder) {
        let reference = system.reference(&golden.case).unwrap();
        let tight = Tolerance { abs: 1e-6, rel: 1e-6 };
        let deviation = tight.compare(reference.iter().copied(), &golden.y);
        assert!(deviation.pass, "{}: reference {deviation:?}", golden.name);
        for threads in [1, 3] {
            let got = cpu(system, &golden.case, &Threads(threads));
            let deviation = golden.tolerance.compare_f32(&got, &golden.y);
            assert!(deviation.pass, "{}: cpu, {threads} threads {deviation:?}", golden.name);
        }
    }
}

/// A wrong sign in the output fails every golden file.
pub(crate) fn a_flipped_sign_fails(system: &System, folder: &str) {
    for golden in goldens(folder) {
        let mut got = cpu(system, &golden.case, &Serial);
        let largest = (0..got.len()).max_by(|&a, &b| got[a].abs().total_cmp(&got[b].abs())).unwrap();
        got[largest] = -got[largest];
        assert!(!golden.tolerance.compare_f32(&got, &golden.y).pass, "{}", golden.name);
    }
}

/// Seeded cases of many shapes agree with the reference, and so do the rows of spot checks.
pub(crate) fn agrees_with_reference(system: &System, problem: &Problem, params: &Params) {
    let case = system.seeded_case(problem, params).unwrap();
    let want = system.reference(&case).unwrap();
    let tolerance = system.info().tolerance;
    for threads in [1, 2] {
        let deviation =
            tolerance.compare_rows(&cpu(system, &case, &Threads(threads)), &want, problem.d_model);
        assert!(deviation.pass, "{problem:?}, {threads} threads: {deviation:?}");
    }
    // The whole output, a part of it, and almost nothing.
    for max_flops in [1 << 24, 1 << 20, 1 << 12] {
        spot_agrees(system, &case, &want, SpotDraw { max_flops, ..DRAW });
    }
}

/// A draw of spot checks.
pub(crate) const DRAW: SpotDraw = SpotDraw { seed: 11, max_flops: 1 << 26, first_row: 0 };

/// The expected values of a spot check equal the whole reference, within rounding of f64.
pub(crate) fn spot_agrees(system: &System, case: &Case, want: &[f64], draw: SpotDraw) {
    let spot = system.spot_check(case, draw).unwrap();
    let tight = Tolerance { abs: 1e-9, rel: 1e-9 };
    assert!(!spot.is_empty() && want.len().is_multiple_of(spot.width), "{:?}", case.config);
    let rows: Vec<f64> =
        spot.rows.iter().flat_map(|row| want[row * spot.width..][..spot.width].to_vec()).collect();
    let deviation = tight.compare(spot.expected.iter().copied(), &rows);
    assert!(deviation.pass, "{:?}: rows {:?} {deviation:?}", case.config, spot.rows);
    for column in &spot.columns {
        let gain = column.weights.iter().map(|(_, weight)| weight.abs()).sum::<f64>().max(1.0);
        for (row, expected) in (column.first_row..).zip(&column.expected) {
            let terms =
                column.weights.iter().map(|(channel, weight)| weight * want[row * spot.width + channel]);
            let difference = (terms.sum::<f64>() - expected).abs();
            assert!(difference <= 1e-9 * gain, "{:?}: row {row} of a column {difference}", case.config);
        }
    }
}

/// The CPU kernel passes the system's own spot check, which is returned.
pub(crate) fn passes_its_spot_check(system: &System, case: &Case, draw: SpotDraw) -> SpotCheck {
    let spot = system.spot_check(case, draw).unwrap();
    let deviation = spot.compare(system.info().tolerance, &cpu(system, case, &Serial));
    assert!(deviation.pass, "{:?} {:?}: {deviation:?}", case.config, spot.rows);
    spot
}

/// Changing the input at t leaves outputs before t unchanged up to rounding and changes some output from t on.
pub(crate) fn causal(system: &System, problem: &Problem, input: &str, t: usize) {
    let case = system.seeded_case(problem, &Params::new()).unwrap();
    let mut changed = case.clone();
    let Some(Tensor::F32 { shape, mut data }) = case.tensors.get(input).cloned() else {
        panic!("no {input}")
    };
    let row = shape[2];
    data[t * row..(t + 1) * row].iter_mut().for_each(|value| *value += 1.0);
    changed.tensors.insert(input, &shape, data);
    let (before, after) = (cpu(system, &case, &Serial), cpu(system, &changed, &Serial));
    let width = before.len() / (problem.batch * problem.seq_len);
    for (index, (a, b)) in before[..t * width].iter().zip(&after).enumerate() {
        assert!(
            (a - b).abs() <= 1e-4 * (1.0 + a.abs()),
            "{problem:?}: output {} saw input {t}",
            index / width
        );
    }
    assert!(before[t * width..].iter().zip(&after[t * width..]).any(|(a, b)| (a - b).abs() > 1e-3));
}

/// Each sequence of a batch is computed independently.
pub(crate) fn batch_independent(system: &System, problem: &Problem, inputs: &[&str]) {
    let case = system.seeded_case(&Problem { batch: 3, ..*problem }, &Params::new()).unwrap();
    let together = cpu(system, &case, &Serial);
    for sequence in 0..3 {
        let mut alone = case.clone();
        alone.config.set("batch", 1_usize);
        for input in inputs {
            let part = |len: usize| sequence * len / 3..(sequence + 1) * len / 3;
            match case.tensors.get(input) {
                Some(Tensor::F32 { shape, data }) => {
                    let shape = [&[1], &shape[1..]].concat();
                    alone.tensors.insert(*input, &shape, data[part(data.len())].to_vec());
                }
                Some(Tensor::I32 { shape, data }) => {
                    let shape = [&[1], &shape[1..]].concat();
                    alone.tensors.insert_i32(*input, &shape, data[part(data.len())].to_vec());
                }
                None => panic!("no {input}"),
            }
        }
        let got = cpu(system, &alone, &Serial);
        assert_eq!(bits(&got), bits(&together[sequence * got.len()..][..got.len()]));
    }
}

/// `cost.peak_bytes` equals the memory of the kernel and its case on one thread, within `slack`.
pub(crate) fn truthful_memory(system: &System, problem: &Problem, slack: f64) {
    let cost = system.cost(problem, &Params::new()).unwrap();
    let case = Arc::new(system.seeded_case(problem, &Params::new()).unwrap());
    let memory = Memory::new(8 * GIB);
    let mut kernel = system.cpu(&case, &memory, &Serial).unwrap();
    kernel.run(&Serial).unwrap();
    let actual = memory.peak_bytes() + case.tensors.bytes();
    let ratio = cost.peak_bytes as f64 / actual as f64;
    assert!((1.0..=1.0 + slack).contains(&ratio), "{problem:?}: stated {} actual {actual}", cost.peak_bytes);
}

/// A kernel refused for memory states the need and frees everything.
pub(crate) fn refuses_what_does_not_fit(system: &System, problem: &Problem) {
    let case = Arc::new(system.seeded_case(problem, &Params::new()).unwrap());
    let memory = Memory::new(1000);
    let error = system.cpu(&case, &memory, &Serial).err();
    assert!(
        matches!(error, Some(mixer::MixerError::OutOfMemory { needed_bytes, limit_bytes: 1000 }) if needed_bytes > 1000)
    );
    assert_eq!(memory.used_bytes(), 0);
}

pub(crate) const PROBLEM: Problem = Problem {
    batch: 1,
    seq_len: 64,
    d_model: 32,
    n_heads: 2,
    causal: true,
    level: Level::Layer,
    seed: 1,
    task: mixer::Task::Forward,
};

/// Shapes with edge cases: one token, primes, lengths around a tile's size, odd head dimensions, one channel.
pub(crate) fn edge_problems() -> Vec<Problem> {
    let mut problems = Vec::new();
    for level in [Level::Core, Level::Layer] {
        for (seq_len, d_model, n_heads) in [
            (1, 1, 1),
            (1, 32, 2),
            (2, 8, 8),
            (7, 10, 2),
            (47, 12, 1),
            (48, 12, 3),
            (49, 20, 2),
            (127, 9, 3),
            (131, 40, 1),
            (260, 24, 2),
        ] {
            for causal in [false, true] {
                problems.push(Problem { seq_len, d_model, n_heads, causal, level, ..PROBLEM });
            }
        }
    }
    problems
}

/// Parameters of a liquid network in a sparse wiring.
pub(crate) fn sparse() -> Params {
    let mut params = Params::new();
    params.set("wiring", "ncp");
    params
}

/// Wide enough that threads share each step. The sums must not depend on the division.
pub(crate) fn liquid_team(system: &System) {
    let mut mixed = Params::new();
    mixed.set("mixed_memory", true);
    for (params, batch) in [(Params::new(), 1), (sparse(), 2), (mixed, 2)] {
        let problem = Problem { batch, seq_len: 70, d_model: 96, ..PROBLEM };
        let case = system.seeded_case(&problem, &params).unwrap();
        let alone = cpu(system, &case, &Serial);
        assert_eq!(bits(&cpu(system, &case, &Threads(3))), bits(&alone), "{params:?}, {batch} sequences");
    }
}

/// The tests of a liquid network: those of every system, fully connected, in a sparse wiring and with mixed memory.
macro_rules! liquid_battery {
    ($system:ident, $folder:literal) => {
        #[test]
        fn golden_parity() {
            $crate::testing::golden_parity(&$system, $folder);
        }

        #[test]
        fn fault_11_a_flipped_sign_fails_verification() {
            $crate::testing::a_flipped_sign_fails(&$system, $folder);
        }

        #[test]
        fn agrees_with_the_reference_at_the_edges() {
            $crate::testing::liquid_edges(&$system);
        }

        #[test]
        fn sequences_do_not_mix() {
            $crate::testing::batch_independent(&$system, &$crate::testing::PROBLEM, &["x"]);
        }

        #[test]
        fn a_team_of_threads_gives_what_one_thread_gives() {
            $crate::testing::liquid_team(&$system);
        }

        #[test]
        fn stated_memory_is_what_it_takes() {
            $crate::testing::liquid_memory(&$system);
        }

        #[test]
        fn counted_operations_equal_the_closed_form() {
            $crate::testing::liquid_operations(&$system);
        }

        #[test]
        fn counted_functions_equal_the_closed_form() {
            $crate::testing::counts_its_functions::<Spec>(&$system, |_| {
                let mut mixed = mixer::Params::new();
                mixed.set("mixed_memory", true);
                vec![mixer::Params::new(), $crate::testing::sparse(), mixed]
            });
        }

        #[test]
        fn rows_far_from_the_start_are_checked() {
            $crate::testing::liquid_far_rows(&$system);
        }

        proptest::proptest! {
            #![proptest_config(proptest::prelude::ProptestConfig::with_cases(8))]

            #[test]
            fn outputs_do_not_see_the_future(
                seq_len in 2_usize..150,
                cut in 0.0_f64..1.0,
                seed in proptest::prelude::any::<u64>(),
            ) {
                let t = ((seq_len as f64 * cut) as usize).min(seq_len - 1);
                let problem = Problem { seq_len, seed, d_model: 8, ..$crate::testing::PROBLEM };
                $crate::testing::causal(&$system, &problem, "x", t);
            }
        }
    };
}
pub(crate) use liquid_battery;

pub(crate) fn liquid_edges(system: &System) {
    let mut mixed = Params::new();
    mixed.set("mixed_memory", true);
    for problem in edge_problems().into_iter().filter(|problem| problem.causal) {
        for params in [Params::new(), sparse(), mixed.clone()] {
            agrees_with_reference(system, &problem, &params);
        }
    }
}

pub(crate) fn liquid_memory(system: &System) {
    for level in [Level::Core, Level::Layer] {
        for seq_len in [16, 64, 1000] {
            truthful_memory(system, &Problem { seq_len, level, ..PROBLEM }, 0.0);
        }
    }
    refuses_what_does_not_fit(system, &PROBLEM);
}

pub(crate) fn liquid_operations(system: &System) {
    for problem in edge_problems().into_iter().filter(|problem| problem.seq_len < 100) {
        for params in [Params::new(), sparse()] {
            let case = system.seeded_case(&problem, &params).unwrap();
            let count = operations(system, &case);
            let cost = system.cost(&problem, &params).unwrap();
            assert_eq!((count.flops, count.setup_flops), (cost.flops, cost.setup_flops), "{problem:?}");
        }
    }
}

/// Spot checks of races of decoding: at lengths whose prefix the reference cannot afford, generated rows up to the last one
/// are covered, and the kernel passes.
pub(crate) fn checks_late_rows(system: &System, params: &Params) {
    for level in [Level::Core, Level::Layer] {
        let problem = Problem { seq_len: 3000, level, causal: true, ..PROBLEM };
        let case = system.seeded_case(&problem, params).unwrap();
        for max_flops in [1 << 16, DRAW.max_flops, 1 << 40] {
            let draw = SpotDraw { first_row: 2900, max_flops, ..DRAW };
            let spot = passes_its_spot_check(system, &case, draw);
            assert_eq!(spot.reach(3000), 3000, "{level:?} {max_flops}");
            let firsts = spot.columns.iter().map(|column| column.first_row).chain(spot.rows);
            assert!(firsts.min() >= Some(2900), "{level:?} {max_flops}");
        }
    }
}

/// At race lengths the middle and the end are checked too, and their expected values equal the kernel's.
pub(crate) fn liquid_far_rows(system: &System) {
    for level in [Level::Core, Level::Layer] {
        let problem = Problem { seq_len: 3001, level, ..PROBLEM };
        let case = system.seeded_case(&problem, &Params::new()).unwrap();
        let draw = SpotDraw { max_flops: 1 << 27, ..DRAW };
        let rows = passes_its_spot_check(system, &case, draw).rows;
        assert!(rows.len() > 4 && rows.last() == Some(&3000), "{level:?}: {rows:?}");
    }
}

/// [`truthful_memory`] at both levels, several lengths and the given forms, and a refusal of a case that does not fit.
pub(crate) fn states_its_memory(system: &System, forms: &[bool]) {
    for level in [Level::Core, Level::Layer] {
        for seq_len in [64, 1000, 4096] {
            for &causal in forms {
                truthful_memory(system, &Problem { seq_len, level, causal, ..PROBLEM }, 0.0);
            }
        }
    }
    refuses_what_does_not_fit(system, &PROBLEM);
}

/// Operations of a case as the system's model counts them.
pub(crate) fn operations(system: &System, case: &Case) -> OpCount {
    let trials = crate::trials_of(system.info().id).unwrap();
    (trials.operations)(case).unwrap()
}

/// The reference's operation counts equal the closed form at every edge shape with each of `params`.
pub(crate) fn counts_its_operations(system: &System, params: impl Fn(&Problem) -> Vec<Params>) {
    for problem in edge_problems() {
        for params in params(&problem) {
            let case = system.seeded_case(&problem, &params).unwrap();
            let count = operations(system, &case);
            let cost = system.cost(&problem, &params).unwrap();
            let stated = (cost.flops, cost.setup_flops);
            assert_eq!((count.flops, count.setup_flops), stated, "{problem:?} {params:?}");
        }
    }
}

/// The exponentials, divisions and square roots of the model's forward pass are those of the closed form, at every edge shape
/// with each of `params`.
pub(crate) fn counts_its_functions<M: Model>(system: &System, params: impl Fn(&Problem) -> Vec<Params>) {
    for problem in edge_problems() {
        for params in params(&problem) {
            let case = system.seeded_case(&problem, &params).unwrap();
            let count = model::counted::<M>(&case).unwrap();
            let stated = system.cost(&problem, &params).unwrap().transcendentals;
            let counted = count.forward.transcendentals + count.uncounted.transcendentals;
            assert_eq!(counted, stated, "{problem:?} {params:?}");
        }
    }
}

/// Sixteen times the length costs sixteen times the operations (at most `most` times) and memory, up to a million
/// positions, where the scores of full attention alone would take terabytes.
pub(crate) fn costs_linearly(system: &System, most: f64) {
    let at = |seq_len| {
        let problem = Problem { seq_len, d_model: 256, n_heads: 4, causal: false, ..PROBLEM };
        system.cost(&problem, &Params::new()).unwrap()
    };
    let (short, long) = (at(65_536), at(1 << 20));
    let flops = long.flops as f64 / short.flops as f64;
    let bytes = long.peak_bytes as f64 / short.peak_bytes as f64;
    assert!((15.9..most).contains(&flops) && (15.0..16.5).contains(&bytes), "{flops} {bytes}");
}

/// The CPU kernel at the greatest length of a race, checked at the rows that the reference can afford, including the
/// last.
pub(crate) fn agrees_at_length(system: &System, problem: &Problem, params: &Params) {
    let case = system.seeded_case(problem, params).unwrap();
    let rows = passes_its_spot_check(system, &case, DRAW).rows;
    assert!(rows.contains(&(problem.seq_len - 1)), "{rows:?}");
}

/// On the GPU, buffers and work grow at most linearly with the length within the guaranteed limits of WebGPU, and the
/// work is at most `overhead` times the stated cost.
pub(crate) fn plans_linearly(system: &System, overhead: f64) {
    let at = |seq_len, causal| {
        let problem = Problem { seq_len, d_model: 64, n_heads: 1, causal, ..PROBLEM };
        let case = system.seeded_case(&problem, &Params::new()).unwrap();
        let target = GpuTarget::WEBGPU_DEFAULTS;
        let plan = system.gpu(&case, &target).unwrap();
        assert!(plan.run.iter().all(|dispatch| dispatch.flops <= target.max_dispatch_flops));
        let stated = system.cost(&problem, &Params::new()).unwrap().flops as f64;
        let planned = plan.run_flops() as f64;
        assert!((0.9..overhead).contains(&(planned / stated)), "{planned} {stated}");
        (plan.bytes() as f64, planned)
    };
    for causal in [false, true] {
        let (short, long) = (at(16_384, causal), at(65_536, causal));
        assert!(long.0 / short.0 < 4.2, "bytes: {short:?} {long:?}");
        assert!((3.5..4.6).contains(&(long.1 / short.1)), "operations: {short:?} {long:?}");
    }
}

/// At core level, constant `inputs` weight all keys equally, however large their scores, and a NaN is never hidden.
pub(crate) fn averages_constants_and_shows_nan(system: &System, params: &Params, inputs: &[&str]) {
    let problem = Problem { level: Level::Core, causal: false, ..PROBLEM };
    for value in [0.0, 1.0, -3.5, 1e-40, 1e4, f32::NAN] {
        let mut case = system.seeded_case(&problem, params).unwrap();
        for name in inputs {
            let shape = case.tensors.get(name).unwrap().shape().to_vec();
            case.tensors.insert(*name, &shape, vec![value; shape.iter().product()]);
        }
        for got in cpu(system, &case, &Serial) {
            assert!(
                if value.is_nan() { got.is_nan() } else { (got - value).abs() <= 1e-5 * value.abs() },
                "{value}: {got}"
            );
        }
    }
}
