//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem, Value};

use crate::trials::{Random, Trials, level, sizes};

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<super::Spec>,
    params,
    configs: &[products, recurrence, plain],
    ..Trials::DEFAULT
};

fn params(index: usize, problem: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("d_state", &[64, 6, 18]);
    set("liquid_degree", &[2, 3, 4]);
    let kernels = if problem.causal { ["auto", "none", "auto"] } else { ["polyb", "kb", "recurrence"] };
    params.set("liquid_kernel", kernels[index / 2 % 3]);
    params.set("allcombs", index % 4 != 3);
    params.set("lcontract", ["none", "tanh", "lecun"][index % 3]);
    params.set("bidirectional", !problem.causal && index.is_multiple_of(3) && index / 2 % 3 != 2);
    params
}

fn options(random: &mut Random, kernel: Value, causal: bool) -> Params {
    let mut config = sizes(random, causal);
    config.set("d_state", 2 * random.count(1, 16));
    config.set("mode", "diag");
    config.set("measure", "diag-lin");
    config.set("liquid_kernel", kernel);
    config.set("liquid_degree", 2_usize);
    config.set("allcombs", true);
    config.set("lcontract", Value::Null);
    config
}

fn products(random: &mut Random) -> (Level, Params) {
    let kernel = Value::from(random.of(&["polyb", "kb"]));
    let mut config = options(random, kernel, false);
    config.set("length", random.count(8, 150));
    config.set("mode", random.of(&["diag", "nplr"]));
    config.set("liquid_degree", random.count(2, 4));
    config.set("allcombs", random.flag());
    config.set("lcontract", random.of(&["none", "tanh", "lecun"]));
    config.set("bidirectional", random.flag());
    (level(random), config)
}

fn recurrence(random: &mut Random) -> (Level, Params) {
    (level(random), options(random, Value::from("recurrence"), true))
}

fn plain(random: &mut Random) -> (Level, Params) {
    let bidirectional = random.flag();
    let mut config = options(random, Value::Null, !bidirectional);
    config.set("mode", random.of(&["diag", "nplr"]));
    config.set("bidirectional", bidirectional);
    (level(random), config)
}
