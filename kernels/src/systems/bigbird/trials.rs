//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem};

use crate::trials::{Random, Trials, get, headed};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<super::Spec>,
    params,
    configs: &[|random| config(random, Level::Core), |random| config(random, Level::Layer)],
    element,
    ..Trials::DEFAULT
};

/// Small enough that a short sequence is sparse; the paper's values are for long sequences.
fn params(index: usize, _: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("block_size", &[8, 64, 3, 16, 70]);
    set("num_random_blocks", &[1, 3, 0]);
    params
}

fn config(random: &mut Random, level: Level) -> (Level, Params) {
    let mut config = headed(random, false, level);
    let (block, blocks) = (random.count(1, 20), random.count(5, 14));
    config.set("block_size", block);
    config.set("num_blocks", blocks);
    config.set("num_random_blocks", random.count(1, 3));
    // The last block may be partly padding.
    config.set("length", block * (blocks - 1) + random.count(1, block));
    (level, config)
}

fn element(name: &str, config: &Params, random: &mut Random) -> Option<f64> {
    (name == "random_blocks").then(|| random.count(0, get(config, "num_blocks") - 1) as f64)
}
