//! Parameters and configurations for tests.

use mixer::{Level, Params, Problem, Value};

use crate::trials::{Random, Trials, headed, level};

pub(crate) static TRIALS: Trials = Trials {
    operations: |case| {
        let mut count = mixer::OpCount::default();
        super::reference::reference(case, &mut count)?;
        Ok(count)
    },
    params,
    configs: &[lsh, local, short],
    ..Trials::DEFAULT
};

/// Small enough that a short sequence is sparse; the paper's values are for long sequences.
fn params(index: usize, _: &Problem) -> Params {
    let mut params = Params::new();
    let mut set = |name: &str, choices: &[usize]| params.set(name, choices[index % choices.len()]);
    set("chunk_length", &[16, 64, 5, 32]);
    set("num_hashes", &[2, 1, 4]);
    set("chunks_after", &[0, 1]);
    set("chunks_before", &[1, 0, 3]);
    params.set("kind", if index % 5 == 4 { "local" } else { "lsh" });
    params
}

fn options(random: &mut Random, kind: &str, is_short: bool) -> Params {
    let causal = random.flag();
    // Reformer's core files state no scale.
    let mut config = headed(random, causal, Level::Layer);
    let (length, chunk) = if is_short {
        let length = random.count(1, 60);
        (length, length + random.count(0, 20))
    } else {
        let chunk = random.count(1, 32);
        (chunk + random.count(1, 120), chunk)
    };
    config.set("kind", kind);
    config.set("length", length);
    config.set("chunk_length", chunk);
    config.set("padded_length", if is_short { length } else { length.next_multiple_of(chunk) });
    config.set("chunks_before", random.count(0, 2));
    config.set("chunks_after", random.count(0, 1));
    config
}

fn lsh(random: &mut Random) -> (Level, Params) {
    let level = level(random);
    let mut config = options(random, "lsh", false);
    config.set("num_hashes", random.count(1, 4));
    let factors = (0..random.count(1, 2)).map(|_| Value::from(2 * random.count(1, 6)));
    config.set("num_buckets", Value::List(factors.collect()));
    (level, config)
}

fn local(random: &mut Random) -> (Level, Params) {
    let level = level(random);
    (level, options(random, "local", false))
}

fn short(random: &mut Random) -> (Level, Params) {
    let level = level(random);
    let kind = random.of(&["lsh", "local"]);
    let mut config = options(random, kind, true);
    if kind == "lsh" {
        config.set("num_hashes", 2_usize);
        config.set("num_buckets", Value::List(vec![Value::from(2_usize)]));
    }
    (level, config)
}
