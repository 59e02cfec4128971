//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem, Tensors, Value};

use crate::trials::{Random, Trials, get, headed, is_set};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<super::Spec>,
    params,
    configs: &[core, causal, layer],
    optional: global_mask,
    ..Trials::DEFAULT
};

/// Small enough that a short sequence is sparse; the paper's values are for long sequences.
fn params(index: usize, problem: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("window", &[8, 512, 2, 64, 30]);
    set("n_global", &[1, 0, 40]);
    if problem.causal {
        set("dilation", &[1, 3]);
    }
    params
}

fn window(random: &mut Random, config: &mut Params) {
    config.set("window", 2 * random.count(1, 40));
    config.set("dilation", 1_usize);
}

fn core(random: &mut Random) -> (Level, Params) {
    let mut config = headed(random, false, Level::Core);
    window(random, &mut config);
    (Level::Core, config)
}

fn causal(random: &mut Random) -> (Level, Params) {
    let mut config = headed(random, true, Level::Core);
    window(random, &mut config);
    if random.flag() {
        let dilations = (0..get(&config, "heads")).map(|_| Value::from(random.count(1, 4)));
        config.set("dilation", Value::List(dilations.collect()));
    }
    (Level::Core, config)
}

fn layer(random: &mut Random) -> (Level, Params) {
    let mut config = headed(random, false, Level::Layer);
    window(random, &mut config);
    (Level::Layer, config)
}

/// Which positions are global; none where the mask is causal.
fn global_mask(config: &Params, random: &mut Random) -> Tensors {
    let shape = [get(config, "batch"), get(config, "length")];
    let causal = is_set(config, "causal");
    let mask = (0..shape[0] * shape[1]).map(|_| i32::from(!causal && random.count(0, 20) == 0)).collect();
    let mut tensors = Tensors::new();
    tensors.insert_i32("global_mask", &shape, mask);
    tensors
}
