//! Parameters and configurations for tests.

use mixer::{Level, Params};

use crate::trials::{Random, Trials, headed, level};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<crate::multi_head::Spec>,
    configs: &[|random| config(random, true), |random| config(random, false)],
    ..Trials::DEFAULT
};

fn config(random: &mut Random, causal: bool) -> (Level, Params) {
    let level = level(random);
    let mut config = headed(random, causal, level);
    if level == Level::Layer {
        config.set("bias", random.flag());
    }
    (level, config)
}
