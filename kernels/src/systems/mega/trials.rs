//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem, Value};

use crate::trials::{Random, Trials, get, is_set, sizes};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<super::Spec>,
    params,
    configs: &[layer, ema, attention],
    ..Trials::DEFAULT
};

fn params(index: usize, _: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("chunk_size", &[16, 128, 50, 7]);
    set("ema_projection_size", &[16, 3, 33]);
    set("truncation", &[0, 0, 5, 0, 40]);
    set("shared_representation_size", &[64, 6]);
    params.set("use_chunking", index % 5 != 4);
    params.set("attention_activation", ["softmax", "laplace", "relu2"][index % 3]);
    params.set("relative_positional_bias", ["rotary", "simple"][index % 2]);
    params.set("normalization_type", ["scalenorm", "layernorm"][index / 2 % 2]);
    params.set("normalize_before_mega", index % 4 != 3);
    params.set("core", ["attention", "ema"][index % 2]);
    params
}

fn chunks(random: &mut Random, config: &mut Params) {
    let chunking = random.flag();
    let chunk = random.count(1, 40);
    config.set("use_chunking", chunking);
    config.set("chunk_size", if chunking { Value::from(chunk) } else { Value::Int(-1) });
    if chunking {
        config.set("length", chunk * random.count(1, 4));
    }
    let positions = if chunking { chunk } else { get(config, "length") + random.count(0, 20) };
    config.set("max_positions", positions);
    config.set("shared_representation_size", 2 * random.count(1, 16));
    config.set("intermediate_size", random.count(1, 70));
    config.set("attention_activation", random.of(&["softmax", "laplace", "relu2"]));
    config.set("relative_positional_bias", random.of(&["simple", "rotary"]));
}

fn layer(random: &mut Random) -> (Level, Params) {
    let causal = random.flag();
    let mut config = sizes(random, causal);
    chunks(random, &mut config);
    average(random, &mut config);
    config.set("normalize_before_mega", random.flag());
    config.set("normalization_type", random.of(&["layernorm", "scalenorm"]));
    config.set("activation", "silu");
    config.set("part", "layer");
    (Level::Layer, config)
}

fn average(random: &mut Random, config: &mut Params) {
    let causal = is_set(config, "causal");
    let width = random.count(4, 40);
    config.set("d_model", width);
    config.set("hidden_size", width);
    config.set("ema_projection_size", random.count(1, 16));
    config.set("bidirectional", !causal);
    let truncation = random.count(1, 60);
    config.set("truncation", if random.flag() { Value::from(truncation) } else { Value::Null });
}

fn ema(random: &mut Random) -> (Level, Params) {
    let causal = random.flag();
    let mut config = sizes(random, causal);
    average(random, &mut config);
    config.set("part", "ema");
    (Level::Core, config)
}

fn attention(random: &mut Random) -> (Level, Params) {
    let causal = random.flag();
    let mut config = sizes(random, causal);
    chunks(random, &mut config);
    config.set("part", "attention");
    (Level::Core, config)
}
