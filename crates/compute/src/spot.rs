//! Spot checks of a case: parts of its first sequence and of a later one in f64. The later sequence is drawn at random,
//! like the rows, so that a kernel that is right in the first sequence only is detected.

use mixer::{Case, MixerError, SpotCheck, SpotDraw, System, Tensor, Tensors};

/// Inputs with a part for each sequence of a batch. In a case with an `x`, `k` is a filter and not an input.
const INPUTS: [&str; 12] = [
    "x",
    "u",
    "q",
    "k",
    "v",
    "qk",
    "q_global",
    "k_global",
    "v_global",
    "global_mask",
    "timespans",
    "mid.buckets",
];

/// The parts to compare in `[batch · length]` rows.
///
/// # Errors
/// Errors of the system's [`System::spot_check`].
pub(crate) fn spot_check(system: &System, case: &Case, draw: SpotDraw) -> Result<SpotCheck, MixerError> {
    let batch = case.config.count_or("batch", 1, 1, usize::MAX)?;
    let length = case.config.count_or("length", 1, 1, usize::MAX)?;
    // Each length of a race draws other rows.
    let draw = draw.part(length as u64, 1);
    if batch == 1 {
        return system.spot_check(case, draw);
    }
    let mut check = system.spot_check(case, draw.part(0, 2))?;
    let draw = draw.part(1, 2);
    let index = 1 + draw.distinct(batch - 1, 1).first().copied().unwrap_or(0);
    let later = system.spot_check(&sequence(case, batch, index), draw)?;
    check.rows.extend(later.rows.iter().map(|row| index * length + row));
    check.expected.extend(later.expected);
    check.columns.extend(later.columns.into_iter().map(|mut column| {
        column.first_row += index * length;
        column
    }));
    Ok(check)
}

/// A case with a single sequence of the batch.
fn sequence(case: &Case, batch: usize, index: usize) -> Case {
    let has_filter = case.tensors.get("x").is_some();
    let mut tensors = Tensors::new();
    for (name, tensor) in case.tensors.iter() {
        let is_input = INPUTS.contains(&name) && !(name == "k" && has_filter);
        let is_state = ["h0", "c0"].contains(&name);
        let sequences = if is_input || is_state { batch } else { 1 };
        let shape = match tensor.shape() {
            [_, rest @ ..] if sequences > 1 => [&[1], rest].concat(),
            whole => whole.to_vec(),
        };
        match tensor {
            Tensor::F32 { data, .. } => tensors.insert(name, &shape, part(data, sequences, index)),
            Tensor::I32 { data, .. } => tensors.insert_i32(name, &shape, part(data, sequences, index)),
        }
    }
    let mut config = case.config.clone();
    config.set("batch", 1_usize);
    Case { level: case.level, config, tensors }
}

/// Part `index` of `parts`.
fn part<T: Copy>(data: &[T], parts: usize, index: usize) -> Vec<T> {
    let len = data.len() / parts;
    let first = if parts == 1 { 0 } else { index * len };
    data.get(first..first + len).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use mixer::{Level, Params, Problem, Tolerance};

    use super::*;

    /// Every system's spot check includes a part of a later sequence, which depends on the seed and equals the
    /// reference there.
    #[test]
    fn a_later_sequence_of_a_batch_is_checked_too() {
        let mut sequences = std::collections::HashSet::new();
        for system in kernels::systems() {
            for (level, causal, seed) in [
                (Level::Core, false, 1),
                (Level::Core, true, 2),
                (Level::Layer, false, 3),
                (Level::Layer, true, 4),
            ] {
                let problem = Problem {
                    batch: 3,
                    seq_len: 24,
                    d_model: 24,
                    n_heads: 2,
                    causal,
                    level,
                    seed: 5,
                    task: mixer::Task::Forward,
                };
                let case = system.seeded_case(&problem, &Params::new()).unwrap();
                let whole = system.reference(&case).unwrap();
                let check =
                    spot_check(system, &case, SpotDraw { seed, max_flops: 1 << 26, first_row: 0 }).unwrap();
                let id = system.info().id;
                let columns = check.columns.iter().map(|column| column.first_row);
                let last = check.rows.iter().copied().chain(columns).max().unwrap();
                assert!(last >= 24, "{id}: {last}");
                sequences.insert(last / 24);
                let whole: Vec<f32> = whole.into_iter().map(|value| value as f32).collect();
                let tight = Tolerance { abs: 1e-6, rel: 1e-6 };
                let deviation = check.compare(tight, &whole);
                assert!(deviation.pass, "{id} {level:?}: {deviation:?}");
            }
        }
        assert_eq!(sequences.len(), 2);
    }
}
