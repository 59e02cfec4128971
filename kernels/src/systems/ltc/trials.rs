//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem, Value};

use crate::trials::{Random, Trials, get, initial_state, sizes};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<super::Spec>,
    params,
    configs: &[|random| config(random, Level::Core), |random| config(random, Level::Layer)],
    element,
    optional: initial_state,
    ..Trials::DEFAULT
};

fn params(index: usize, _: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("units", &[0, 300]);
    set("ode_unfolds", &[6, 1, 3]);
    params.set("mixed_memory", index % 3 == 2);
    params.set("wiring", if index % 4 == 3 { "ncp" } else { "full" });
    params
}

fn config(random: &mut Random, level: Level) -> (Level, Params) {
    let mut config = sizes(random, true);
    let units = random.count(1, 40);
    let is_layer = level == Level::Layer;
    config.set("input_size", get(&config, "d_model"));
    config.set("units", units);
    config.set("output_dim", if is_layer { random.count(1, units) } else { units });
    config.set("ode_unfolds", random.count(1, 7));
    config.set("epsilon", 1e-8);
    config.set("implicit_param_constraints", random.flag());
    config.set("mixed_memory", is_layer && random.flag());
    let mapping = if is_layer { Value::from("affine") } else { Value::Null };
    config.set("input_mapping", mapping.clone());
    config.set("output_mapping", mapping);
    config.set("timespans", is_layer && random.flag());
    (level, config)
}

/// Parameters that the package constrains to positive values.
fn element(name: &str, _: &Params, random: &mut Random) -> Option<f64> {
    match name.trim_start_matches("param.") {
        "rnn_cell.gleak" | "rnn_cell.cm" => Some(random.between(0.2, 1.5)),
        "rnn_cell.w" | "rnn_cell.sensory_w" => Some(random.between(0.001, 1.0)),
        "rnn_cell.sigma" | "rnn_cell.sensory_sigma" => Some(random.between(3.0, 8.0)),
        _ => None,
    }
}
