//! Parameters and configurations for tests.

use mixer::{Level, Params};

use crate::trials::{Random, Trials, get, sizes};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<super::Spec>,
    configs: &[core, layer],
    ..Trials::DEFAULT
};

fn core(random: &mut Random) -> (Level, Params) {
    let mut config = sizes(random, true);
    config.set("order", random.count(2, 5));
    (Level::Core, config)
}

fn layer(random: &mut Random) -> (Level, Params) {
    let mut config = sizes(random, true);
    // Longer or shorter than the input, or of equal length.
    let length = get(&config, "length");
    let least = (length / 2).max(2);
    config.set("l_max", random.count(least, 2 * length + 2));
    config.set("order", random.count(2, 4));
    config.set("filter_order", random.count(1, 40));
    config.set("emb_dim", 2 * random.count(1, 8) + 1);
    config.set("w", random.between(1.0, 14.0));
    config.set("num_inner_mlps", random.count(1, 3));
    config.set("short_filter_order", random.count(1, 6));
    config.set("modulate", random.flag());
    config.set("shift", random.of(&[0.0, 0.05]));
    config.set("normalized", random.flag());
    config.set("bias", random.flag());
    (Level::Layer, config)
}
