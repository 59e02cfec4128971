//! Parameters and configurations for tests.

use mixer::{Level, Params};

use crate::trials::{Random, Trials, get, headed, level};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<crate::multi_head::Spec>,
    params: crate::multi_head::grouped_params,
    configs: &[|random| config(random, true), |random| config(random, false)],
    ..Trials::DEFAULT
};

fn config(random: &mut Random, causal: bool) -> (Level, Params) {
    let level = level(random);
    let mut config = headed(random, causal, level);
    if level == Level::Layer {
        config.set("bias", random.flag());
    }
    if random.flag() {
        let heads = get(&config, "heads");
        let divisors: Vec<usize> = (1..=heads).filter(|&n| heads.is_multiple_of(n)).collect();
        config.set("kv_heads", random.of(&divisors));
    }
    (level, config)
}
