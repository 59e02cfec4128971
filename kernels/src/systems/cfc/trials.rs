//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem, Value};

use crate::trials::{Random, Trials, get, initial_state, sizes};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<super::Spec>,
    params,
    configs: &[core, layer, wired],
    optional: initial_state,
    ..Trials::DEFAULT
};

fn params(index: usize, _: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("units", &[0, 0, 301]);
    set("backbone_units", &[128, 20, 7, 300]);
    set("backbone_layers", &[1, 0, 2, 3, 1]);
    params.set("mode", ["default", "no_gate", "pure"][index % 3]);
    params.set("activation", ["lecun_tanh", "silu", "relu", "tanh", "gelu"][index % 5]);
    params.set("mixed_memory", index % 4 == 2);
    params.set("wiring", if index % 4 == 3 { "ncp" } else { "full" });
    params
}

fn options(random: &mut Random, is_layer: bool) -> Params {
    let mut config = sizes(random, true);
    let layers = random.count(0, 3);
    let width = random.count(1, 70);
    config.set("input_size", get(&config, "d_model"));
    config.set("units", random.count(1, 50));
    config.set("mode", random.of(&["default", "no_gate", "pure"]));
    config.set("activation", random.of(&["lecun_tanh", "silu", "relu", "tanh", "gelu"]));
    config.set("backbone_layers", layers);
    config.set("backbone_units", if layers == 0 { 0 } else { width });
    config.set("mixed_memory", is_layer && random.flag());
    config.set("layer_sizes", Value::List(Vec::new()));
    config.set("timespans", is_layer && random.flag());
    let outputs = random.count(1, 30);
    let projects = is_layer && random.flag();
    config.set("proj_size", if projects { Value::from(outputs) } else { Value::Null });
    config
}

fn core(random: &mut Random) -> (Level, Params) {
    (Level::Core, options(random, false))
}

fn layer(random: &mut Random) -> (Level, Params) {
    (Level::Layer, options(random, true))
}

fn wired(random: &mut Random) -> (Level, Params) {
    let mut config = options(random, true);
    let layers: Vec<usize> = (0..random.count(1, 3)).map(|_| random.count(1, 15)).collect();
    config.set("units", layers.iter().sum::<usize>());
    config.set("layer_sizes", Value::List(layers.into_iter().map(Value::from).collect()));
    (Level::Layer, config)
}
