//! Tensors of golden files, determined by the reference's requests.

use kernels::trials::{Random, Trials};
use mixer::{Case, MixerError, Params, Tensor};

/// Most tensors of a case.
const MOST: usize = 200;

/// Runs `reference` again and again, each time with the tensor that it lacked.
pub(crate) fn fill(
    case: &mut Case,
    trials: &Trials,
    random: &mut Random,
    reference: impl Fn(&Case) -> Result<Vec<f64>, MixerError>,
) -> Vec<f64> {
    for _ in 0..MOST {
        match reference(case) {
            Ok(y) => return y,
            // Requested again with its shape.
            Err(MixerError::MissingTensor { name }) => case.tensors.insert(name, &[0], Vec::new()),
            Err(MixerError::TensorKind { name, .. }) => case.tensors.insert_i32(name, &[0], Vec::new()),
            Err(MixerError::TensorShape { name, expected, got }) => {
                assert_eq!(got, [0], "{name} is of another shape than it was asked for");
                if let Some(Tensor::I32 { .. }) = case.tensors.get(&name) {
                    let mut draw = || (trials.element)(&name, &case.config, random).unwrap() as i32;
                    let data = (0..expected.iter().product()).map(|_| draw()).collect();
                    case.tensors.insert_i32(name, &expected, data);
                } else {
                    let data = floats(&name, &expected, &case.config, trials, random);
                    case.tensors.insert(name, &expected, data);
                }
            }
            Err(other) => panic!("{:?}: {other}", case.config),
        }
    }
    panic!("{:?} asks for more than {MOST} tensors", case.config)
}

/// Values of the order that a trained model's have.
fn floats(name: &str, shape: &[usize], config: &Params, trials: &Trials, random: &mut Random) -> Vec<f32> {
    let last = name.rsplit_once("param.").map_or(name, |(_, rest)| rest);
    let fan_in = shape.last().copied().unwrap_or(1).max(1) as f64;
    let norm = last.contains("norm");
    let draw = |random: &mut Random| match last {
        _ if norm && last.ends_with("weight") => random.between(0.5, 1.5),
        _ if norm && last.ends_with("scalar") => random.between(0.5, 1.5),
        // Elapsed times.
        "timespans" => random.between(0.2, 1.5),
        _ if last.ends_with("sparsity_mask") => f64::from(u8::from(random.flag())),
        // Steps of state spaces, and their modes.
        _ if last.ends_with("log_step") || last.ends_with("log_dt") => random.between(-4.6, -2.3),
        _ if last.ends_with("A_re") => random.between(-1.0, -1e-5),
        _ if last.ends_with("A_imag") || last.ends_with("A_im") || last.ends_with("w_imag") => {
            random.between(0.0, 40.0)
        }
        "inv_A_real" | "inv_w_real" => random.between(-1.5, 0.0),
        "liquid_w" => random.between(-2.0, -0.1),
        "B" | "C" | "P" | "liquid_B" | "liquid_C" => 0.3 * random.normal(),
        // Times and features of positions.
        _ if last.ends_with("pos_emb.t") => random.between(0.0, 1.0),
        _ if last.ends_with("pos_emb.z") => random.between(-1.0, 1.0),
        _ if last.contains("modulation.deltas") => random.between(-15.0, -3.0),
        _ if last.ends_with("filter_fn.freq") => random.between(0.5, 5.0),
        // Filters.
        "k" if config.get("order").is_some() => random.normal() / fan_in.sqrt(),
        "k" | "k_rev" | "k2" | "k2_rev" if shape.len() == 2 => random.normal() / fan_in.sqrt(),
        "k_f" | "k_b" => random.normal() / fan_in.sqrt(),
        _ if last.ends_with("damping_factor") || last.ends_with("decay_factor") => 0.2 * random.normal(),
        _ if last.contains("proj_k") || last.contains("proj_v") => random.between(-0.2, 0.2),
        _ if last.ends_with("weight") && shape.len() > 1 => random.normal() / fan_in.sqrt(),
        _ if last.ends_with("bias") => 0.2 * random.normal(),
        _ => random.normal(),
    };
    let element =
        |random: &mut Random| (trials.element)(name, config, random).unwrap_or_else(|| draw(random)) as f32;
    (0..shape.iter().product()).map(|_| element(random)).collect()
}
