//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem};

use crate::trials::{Random, Trials, get, headed};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<super::Spec>,
    params,
    configs: &[|random| config(random, Level::Core), |random| config(random, Level::Layer)],
    ..Trials::DEFAULT
};

/// Small enough that a short sequence is sparse; the paper's values are for long sequences.
fn params(index: usize, _: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("rank", &[256, 3, 40, 1]);
    params.set("share_kv", index % 3 == 1);
    params.set("one_kv_head", index / 2 % 2 == 1);
    params
}

fn config(random: &mut Random, level: Level) -> (Level, Params) {
    let mut config = headed(random, false, Level::Layer);
    let length = get(&config, "length");
    config.set("max_length", length + random.count(0, 30));
    config.set("rank", random.count(1, 60));
    config.set("one_kv_head", level == Level::Layer && random.flag());
    config.set("share_kv", level == Level::Layer && random.flag());
    if level == Level::Layer {
        let d_head = random.count(1, 24);
        config.set("head_dim", d_head);
        config.set("inner", d_head * get(&config, "heads"));
    }
    (level, config)
}
