//! Rows of a case in f64: of its first sequence, which systems choose themselves, and of its last one too, so that no
//! kernel is right in the first sequence of a batch alone.

use mixer::{Case, MixerError, SpotCheck, System, Tensor, Tensors};

/// Inputs that have a part for each sequence of a batch. Where there is an `x`, `k` is a filter.
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

/// The rows to compare, of `[batch · length]`, for about `max_flops` operations.
///
/// # Errors
/// What is wrong with the case.
pub(crate) fn spot_check(system: &dyn System, case: &Case, max_flops: u64) -> Result<SpotCheck, MixerError> {
    let batch = case.config.count_or("batch", 1, 1, usize::MAX)?;
    let length = case.config.count_or("length", 1, 1, usize::MAX)?;
    if batch == 1 {
        return system.spot_check(case, max_flops);
    }
    let mut check = system.spot_check(case, max_flops / 2)?;
    let last = system.spot_check(&last_sequence(case, batch), max_flops / 2)?;
    for (row, values) in last.rows.iter().zip(last.expected.chunks(width(&last))) {
        let row = (batch - 1) * length + row;
        if !check.rows.contains(&row) {
            check.rows.push(row);
            check.expected.extend(values);
        }
    }
    Ok(check)
}

fn width(check: &SpotCheck) -> usize {
    (check.expected.len() / check.rows.len().max(1)).max(1)
}

/// The last sequence of a batch, alone.
fn last_sequence(case: &Case, batch: usize) -> Case {
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
            Tensor::F32 { data, .. } => tensors.insert(name, &shape, last(data, sequences)),
            Tensor::I32 { data, .. } => tensors.insert_i32(name, &shape, last(data, sequences)),
        }
    }
    let mut config = case.config.clone();
    config.set("batch", 1_usize);
    Case { level: case.level, config, tensors }
}

fn last<T: Copy>(data: &[T], sequences: usize) -> Vec<T> {
    data.get(data.len() - data.len() / sequences..).unwrap_or_default().to_vec()
}

#[cfg(test)]
mod tests {
    use mixer::{Level, OpCount, Params, Problem, Tolerance};

    use super::*;

    /// Every system's rows reach into the last sequence of a batch, and are those of the whole reference there.
    #[test]
    fn the_last_sequence_of_a_batch_is_checked_too() {
        for system in kernels::systems() {
            for level in [Level::Core, Level::Layer] {
                for causal in [false, true] {
                    let problem =
                        Problem { batch: 3, seq_len: 24, d_model: 24, n_heads: 2, causal, level, seed: 5 };
                    let case = system.seeded_case(&problem, &Params::new()).unwrap();
                    let whole = system.reference(&case, &mut OpCount::default()).unwrap();
                    let check = spot_check(system, &case, 1 << 26).unwrap();
                    let width = width(&check);
                    let id = system.info().id;
                    assert!(check.rows.iter().any(|&row| row >= 48), "{id}: {:?}", check.rows);
                    let rows = check.rows.iter().flat_map(|row| &whole[row * width..][..width]);
                    let rows: Vec<f64> = rows.copied().collect();
                    let tight = Tolerance { abs: 1e-9, rel: 1e-9 };
                    assert!(tight.compare(check.expected.iter().copied(), &rows).pass, "{id} {level:?}");
                }
            }
        }
    }
}
