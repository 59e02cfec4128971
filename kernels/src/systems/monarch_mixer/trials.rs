//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem, Value};

use crate::trials::{Random, Trials, get, sizes};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<super::Spec>,
    params,
    configs: &[core, layer, block, mlp, block_diagonal, monarch],
    ..Trials::DEFAULT
};

fn params(index: usize, problem: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("nblocks", &[4, 3, 1, 7]);
    set("emb_dim", &[5, 3, 9]);
    set("filter_order", &[32, 128, 5]);
    params.set("residual_long_conv", index % 3 != 2);
    if problem.level == Level::Layer {
        params.set("part", ["sequence", "block", "mlp"][index % 3]);
    }
    params
}

fn monarch_sizes(random: &mut Random, part: &str) -> Params {
    let causal = random.flag();
    let mut config = sizes(random, causal);
    config.set("part", part);
    config.set("bidirectional", !causal);
    config.set("residual_long_conv", random.flag());
    config
}

fn core(random: &mut Random) -> (Level, Params) {
    (Level::Core, monarch_sizes(random, "sequence"))
}

fn sequence(random: &mut Random, part: &str) -> Params {
    let mut config = monarch_sizes(random, part);
    let length = get(&config, "length").max(2);
    config.set("length", length);
    config.set("l_max", random.count(length, 2 * length));
    config.set("emb_dim", 2 * random.count(1, 6) + 1);
    config.set("filter_order", random.count(1, 40));
    config.set("w", random.between(1.0, 10.0));
    config.set("w_mod", random.of(&[1_usize, 2]));
    config.set("training_additions", random.flag());
    config
}

fn layer(random: &mut Random) -> (Level, Params) {
    (Level::Layer, sequence(random, "sequence"))
}

fn mlp_sizes(random: &mut Random, config: &mut Params) {
    let blocks = random.count(1, 5);
    config.set("d_model", blocks * random.count(1, 10));
    config.set("nblocks", blocks);
    config.set("intermediate_size", random.count(1, 90));
    config.set("layer_norm_eps", 1e-12);
    config.set("glu", random.flag());
}

fn block(random: &mut Random) -> (Level, Params) {
    let mut config = sequence(random, "block");
    mlp_sizes(random, &mut config);
    // The normalisation of a single channel is nothing but rounding.
    config.set("d_model", get(&config, "d_model") * 2);
    (Level::Layer, config)
}

fn mlp(random: &mut Random) -> (Level, Params) {
    let mut config = sizes(random, false);
    config.set("part", "mlp");
    mlp_sizes(random, &mut config);
    config.set("d_model", get(&config, "d_model") * 2);
    config.set("hidden_size", get(&config, "d_model"));
    (Level::Layer, config)
}

fn block_diagonal(random: &mut Random) -> (Level, Params) {
    let mut config = Params::new();
    let shuffle = random.flag();
    let blocks = random.count(1, 8);
    config.set("part", "blockdiag");
    config.set("batch", random.count(1, 3));
    config.set("length", random.count(1, 40));
    config.set("nblocks", blocks);
    config.set("in_features", if shuffle { blocks * random.count(1, 12) } else { random.count(1, 90) });
    config.set("out_features", random.count(1, 90));
    config.set("shuffle", shuffle);
    (Level::Core, config)
}

fn monarch(random: &mut Random) -> (Level, Params) {
    let [k, q, p, l] = std::array::from_fn(|_| random.count(1, 9));
    // kq = lr.
    let (q, r) = (q * l, k * q);
    let s = random.count(1, 9);
    let list = |sizes: [usize; 3]| Value::List(sizes.map(Value::from).to_vec());
    let mut config = Params::new();
    config.set("part", "monarch");
    config.set("batch", random.count(1, 8));
    config.set("n", k * p);
    config.set("m", l * s);
    config.set("w1", list([k, q, p]));
    config.set("w2", list([l, s, r]));
    config.set("input_permutation", random.flag());
    config.set("complex", random.flag());
    (Level::Core, config)
}
