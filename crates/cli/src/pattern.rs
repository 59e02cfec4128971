//! Determines by experiment which inputs influence each output: replaces a few input tokens, runs the system's f64
//! reference again, and measures the changes of the outputs. No knowledge of any system is used.

use std::num::NonZero;
use std::thread;

use mixer::{Case, Causality, Level, MixerError, Params, Problem, System, Tensor, Tensors};
use serde::Serialize;

/// Lengths of the patterns and tokens per cell: one view token by token, and one at a length where the papers' windows
/// and blocks are visible.
const VIEWS: [(usize, usize); 2] = [(64, 1), (2048, 64)];

/// Small, since patterns do not depend on the width. Two heads, since some patterns differ by head.
const WIDTH: usize = 16;
const HEADS: usize = 2;
const SEED: u64 = 1;

/// Changes below this share of the output's size are rounding errors of f64, or too faint to be useful.
const UNSEEN: f64 = 1e-12;

/// The faintest step of the scale, as a share of the output's size. Fainter changes above [`UNSEEN`] are shown as this
/// step.
const FAINTEST: f64 = 1e-7;

/// Strengths are one hexadecimal digit: 0 is no change, 15 a change as large as the output itself.
const TOP: f64 = 15.0;

/// Prefix of tensors that a case states although they follow from its input, such as the buckets of a hash.
const INTERMEDIATE: &str = "mid.";

/// Prefix of these tensors where they are kept for a changed input.
const HELD: &str = "held.";

/// The pattern of a system at one length in one form.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Pattern {
    /// Sequence length in tokens.
    pub length: usize,
    /// Whether this is the causal form.
    pub causal: bool,
    /// Whether choices that the system derives from the data, such as the buckets of a hash, were kept from the
    /// original input.
    pub held: bool,
    /// For each cell of output tokens, in order, one hexadecimal digit per cell of input tokens: the change of these
    /// outputs when these inputs are replaced, as a root mean square relative to their size. 0 is no change; 1 to f is
    /// a logarithmic scale from 10⁻⁷ or less to 1.
    pub rows: Vec<String>,
}

/// The patterns of a system's whole layer with the paper's parameters, in each form that it has.
///
/// # Errors
/// Errors of the system.
pub fn patterns(system: &System) -> Result<Vec<Pattern>, MixerError> {
    let mut patterns = Vec::new();
    for &causal in forms(system) {
        for view in VIEWS {
            patterns.extend(at(system, view, causal)?);
        }
    }
    Ok(patterns)
}

fn forms(system: &System) -> &'static [bool] {
    match system.info().causality {
        Causality::Both => &[true, false],
        Causality::CausalOnly => &[true],
        Causality::BidirectionalOnly => &[false],
    }
}

fn at(system: &System, (length, tokens): (usize, usize), causal: bool) -> Result<Vec<Pattern>, MixerError> {
    let problem = Problem {
        batch: 1,
        seq_len: length,
        d_model: WIDTH,
        n_heads: HEADS,
        causal,
        level: Level::Layer,
        seed: SEED,
        task: mixer::Task::Forward,
    };
    let params = system.info().resolve(&Params::new())?;
    let case = system.seeded_case(&problem, &params)?;
    // The replacement tokens come from the input of another seed.
    let other = system.seeded_case(&Problem { seed: SEED + 1, ..problem }, &params)?;
    let (input, others) = (input(&case)?, input(&other)?);
    let chooses = case.tensors.iter().any(|(name, _)| name.starts_with(INTERMEDIATE));
    let held: &[bool] = if chooses { &[false, true] } else { &[false] };
    held.iter()
        .map(|&held| {
            let rows = rows(length / tokens, tokens, |replaced| {
                let mut x = input.clone();
                let floats = replaced.start * WIDTH..replaced.end * WIDTH;
                x[floats.clone()].copy_from_slice(&others[floats]);
                system.reference(&with_input(&case, &x, held))
            })?;
            Ok(Pattern { length, causal, held, rows })
        })
        .collect()
}

/// The rows of a pattern. `output` returns the output for an input in which a range of tokens is replaced.
fn rows(
    cells: usize,
    tokens: usize,
    output: impl Fn(std::ops::Range<usize>) -> Result<Vec<f64>, MixerError> + Sync,
) -> Result<Vec<String>, MixerError> {
    let base = output(0..0)?;
    let size = rms(base.iter().copied());
    let floats = base.len() / cells;
    let column = |cell: usize| -> Result<Vec<char>, MixerError> {
        let seen = output(cell * tokens..(cell + 1) * tokens)?;
        let changes = seen
            .chunks(floats)
            .zip(base.chunks(floats))
            .map(|(new, old)| digit(rms(new.iter().zip(old).map(|(new, old)| new - old)) / size));
        Ok(changes.collect())
    };
    let threads = thread::available_parallelism().map_or(1, NonZero::get).min(cells);
    let columns: Vec<_> = thread::scope(|scope| {
        let column = &column;
        let workers: Vec<_> = (0..threads)
            .map(|first| scope.spawn(move || (first..cells).step_by(threads).map(column).collect::<Vec<_>>()))
            .collect();
        workers
            .into_iter()
            // A panic of a reference is passed on.
            .map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    let mut rows = vec![String::with_capacity(cells); cells];
    let mut columns: Vec<_> = columns.into_iter().map(Vec::into_iter).collect();
    for cell in 0..cells {
        let Some(column) = columns[cell % threads].next() else { break };
        for (row, digit) in rows.iter_mut().zip(column?) {
            row.push(digit);
        }
    }
    Ok(rows)
}

fn input(case: &Case) -> Result<Vec<f32>, MixerError> {
    match case.tensors.get("x") {
        Some(Tensor::F32 { data, .. }) => Ok(data.clone()),
        _ => Err(MixerError::MissingTensor { name: "x".to_owned() }),
    }
}

/// The case with another input. Intermediate tensors are removed, so that the system recomputes them, unless they are
/// held.
fn with_input(case: &Case, x: &[f32], held: bool) -> Case {
    let mut tensors = Tensors::new();
    for (name, tensor) in case.tensors.iter() {
        match tensor {
            _ if !held && name.starts_with(INTERMEDIATE) => {}
            Tensor::F32 { shape, .. } if name == "x" => tensors.insert(name, shape, x.to_vec()),
            Tensor::F32 { shape, data } => tensors.insert(name, shape, data.clone()),
            Tensor::I32 { shape, data } => match name.strip_prefix(INTERMEDIATE) {
                Some(rest) => tensors.insert_i32(format!("{HELD}{rest}"), shape, data.clone()),
                None => tensors.insert_i32(name, shape, data.clone()),
            },
        }
    }
    Case { level: case.level, config: case.config.clone(), tensors }
}

/// Root of the mean square.
fn rms(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len().max(1) as f64;
    (values.map(|value| value * value).sum::<f64>() / n).sqrt()
}

fn digit(strength: f64) -> char {
    if strength.is_nan() || strength <= UNSEEN {
        return '0';
    }
    let level = (1.0 + (TOP - 1.0) * (1.0 - strength.log10() / FAINTEST.log10())).round().clamp(1.0, TOP);
    char::from_digit(level as u32, 16).unwrap_or('f')
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether any output depends on a later input.
    fn sees_later(pattern: &Pattern) -> bool {
        pattern.rows.iter().enumerate().any(|(row, cells)| cells[row + 1..].bytes().any(|cell| cell != b'0'))
    }

    fn near(system: &str) -> Vec<Pattern> {
        let system = kernels::find(system).unwrap();
        forms(system).iter().flat_map(|&causal| at(system, VIEWS[0], causal).unwrap()).collect()
    }

    #[test]
    fn digits_are_a_logarithmic_scale() {
        for (strength, expected) in
            [(0.0, '0'), (1e-13, '0'), (1e-11, '1'), (1e-7, '1'), (1.0, 'f'), (30.0, 'f'), (f64::NAN, '0')]
        {
            assert_eq!(digit(strength), expected, "{strength}");
        }
        let mut last = 1;
        for exponent in -119..=0 {
            let level = digit(10_f64.powf(f64::from(exponent) / 10.0)).to_digit(16).unwrap();
            assert!(level >= last, "{exponent}");
            last = level;
        }
    }

    #[test]
    fn causal_forms_see_nothing_later_and_others_do() {
        // Hashing and stabilisers of the published Reformer and Performer leak later inputs in their causal forms. The
        // pattern is correct in showing this.
        for system in kernels::systems() {
            let id = system.info().id;
            if ["reformer", "performer"].contains(&id) {
                continue;
            }
            for pattern in near(id) {
                assert_eq!(sees_later(&pattern), !pattern.causal, "{id}");
                let own: Vec<_> =
                    pattern.rows.iter().enumerate().map(|(at, row)| row.as_bytes()[at]).collect();
                assert!(own.iter().all(|&digit| digit != b'0'), "{id} does not see itself");
            }
        }
    }

    #[test]
    fn attention_sees_everything_and_a_window_does_not() {
        let full = &near("attention")[1];
        assert!(full.rows.iter().all(|row| row.len() == VIEWS[0].0 && !row.contains('0')));
        let window = kernels::find("longformer").unwrap();
        let far = &at(window, VIEWS[1], true).unwrap()[0];
        assert!(far.rows.last().is_some_and(|row| row.starts_with('0') && !row.ends_with('0')));
    }
}
