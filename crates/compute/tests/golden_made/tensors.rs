//! Tensors of golden files, determined by the reference's requests.

use mixer::{Case, MixerError, Params, Tensor, Tensors};

use crate::Random;

/// Most tensors of a case.
const MOST: usize = 200;

/// Tensors that a case may have and may lack.
pub(crate) fn optional(config: &Params, random: &mut Random) -> Tensors {
    let mut tensors = Tensors::new();
    let count = |name: &str| config.count(name, 1, usize::MAX).ok();
    if let (Some(batch), Some(units)) = (count("batch"), count("units"))
        && random.flag()
    {
        let mixed = config.flag_or("mixed_memory", false).unwrap();
        for name in if mixed { &["h0", "c0"][..] } else { &["h0"] } {
            let data = (0..batch * units).map(|_| (0.5 * random.normal()) as f32).collect();
            tensors.insert(*name, &[batch, units], data);
        }
    }
    if let (Some(batch), Some(length), Some(_)) = (count("batch"), count("length"), count("window")) {
        let causal = config.flag_or("causal", false).unwrap();
        let data = (0..batch * length).map(|_| i32::from(!causal && random.count(0, 20) == 0)).collect();
        tensors.insert_i32("global_mask", &[batch, length], data);
    }
    tensors
}

/// Runs `reference` repeatedly, each time with the tensor that was missing before.
pub(crate) fn fill(
    case: &mut Case,
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
                    let data = indices(&name, &expected, &case.config, random);
                    case.tensors.insert_i32(name, &expected, data);
                } else {
                    let data = floats(&name, &expected, &case.config, random);
                    case.tensors.insert(name, &expected, data);
                }
            }
            Err(other) => panic!("{:?}: {other}", case.config),
        }
    }
    panic!("{:?} asks for more than {MOST} tensors", case.config)
}

fn indices(name: &str, shape: &[usize], config: &Params, random: &mut Random) -> Vec<i32> {
    assert_eq!(name, "random_blocks");
    let blocks = config.count("num_blocks", 1, usize::MAX).unwrap();
    (0..shape.iter().product()).map(|_| i32::try_from(random.count(0, blocks - 1)).unwrap()).collect()
}

/// Values of the magnitude of a trained model's.
fn floats(name: &str, shape: &[usize], config: &Params, random: &mut Random) -> Vec<f32> {
    let last = name.rsplit_once("param.").map_or(name, |(_, rest)| rest);
    let fan_in = shape.last().copied().unwrap_or(1).max(1) as f64;
    let norm = last.contains("norm");
    let mut draw = || match last {
        _ if norm && last.ends_with("weight") => random.between(0.5, 1.5),
        _ if norm && last.ends_with("scalar") => random.between(0.5, 1.5),
        // Elapsed times, and parameters that a package constrains to be positive.
        "timespans" | "rnn_cell.gleak" | "rnn_cell.cm" => random.between(0.2, 1.5),
        "rnn_cell.w" | "rnn_cell.sensory_w" => random.between(0.001, 1.0),
        "rnn_cell.sigma" | "rnn_cell.sensory_sigma" => random.between(3.0, 8.0),
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
    (0..shape.iter().product()).map(|_| draw() as f32).collect()
}
