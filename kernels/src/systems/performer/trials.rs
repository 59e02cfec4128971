//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem};

use crate::trials::{Random, Trials, get, headed};

pub(crate) static TRIALS: Trials = Trials {
    operations: |case| {
        let mut count = mixer::OpCount::default();
        super::reference::reference(case, &mut count)?;
        Ok(count)
    },
    params,
    configs: &[|random| config(random, Level::Core), |random| config(random, Level::Layer)],
    ..Trials::DEFAULT
};

fn params(index: usize, _: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("nb_features", &[0, 1, 30, 140]);
    set("ortho_scaling", &[0, 1, 0]);
    params
}

fn config(random: &mut Random, level: Level) -> (Level, Params) {
    let causal = random.flag();
    let mut config = headed(random, causal, Level::Layer);
    config.set("nb_features", random.count(1, 80));
    config.set("ortho_scaling", random.count(0, 1));
    config.set("kernel_eps", 1e-4);
    config.set("denominator_eps", if causal { 1e-6 } else { 0.0 });
    if level == Level::Layer {
        let d_head = random.count(1, 32);
        config.set("head_dim", d_head);
        config.set("inner", d_head * get(&config, "heads"));
        config.set("qkv_bias", random.flag());
    }
    (level, config)
}
