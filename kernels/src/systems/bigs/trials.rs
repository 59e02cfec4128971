//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem};

use crate::trials::{Random, Trials, sizes};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<super::Spec>,
    params,
    configs: &[|random| config(random, Level::Core), |random| config(random, Level::Layer)],
    ..Trials::DEFAULT
};

fn params(index: usize, _: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("num_ssm", &[64, 7, 1]);
    set("expansion", &[3, 1]);
    params.set("gelu", ["erf", "tanh"][index % 2]);
    params.set("pre_norm", index % 3 != 2);
    params
}

fn config(random: &mut Random, level: Level) -> (Level, Params) {
    let mut config = sizes(random, false);
    let width = random.count(4, 40);
    config.set("d_model", width);
    config.set("hidden_size", width);
    config.set("num_ssm", random.count(1, 64));
    if level == Level::Layer {
        config.set("intermediate_size", random.count(1, 90));
        config.set("layer_norm_eps", 1e-12);
        config.set("pre_norm", random.flag());
        config.set("gelu", random.of(&["erf", "tanh"]));
    }
    (level, config)
}
