//! Parameters and configurations for tests in addition to the defaults. A system states its own in `trials.rs` of its
//! folder; tests of every crate find them through the registry.
#![expect(clippy::unwrap_used, reason = "a test that cannot make its input has failed")]

use mixer::{Case, Level, MixerError, OpCount, Params, Problem, Tensors};

/// Generates the configuration of a golden file at random sizes, choosing every option of such a file at random.
pub type Config = fn(&mut Random) -> (Level, Params);

/// A system's trials.
#[derive(Debug, Clone, Copy)]
pub struct Trials {
    /// Operations of a case as counted by the system's model, for comparison with its cost.
    pub operations: fn(&Case) -> Result<OpCount, MixerError>,
    /// Parameters of the test problem with this index. Consecutive indices cover every choice, in combinations.
    pub params: fn(index: usize, &Problem) -> Params,
    /// Configurations of golden files; `None` if `golden` names another system.
    pub configs: &'static [Config],
    /// Another system whose golden files apply to this one, since both compute the same equations.
    pub golden: Option<&'static str>,
    /// Value of one element of a tensor in a generated golden file, by the tensor's name, if ordinary magnitudes are
    /// invalid.
    pub element: fn(name: &str, &Params, &mut Random) -> Option<f64>,
    /// Optional tensors of such a file.
    pub optional: fn(&Params, &mut Random) -> Tensors,
}

impl Trials {
    /// The default parameters, no configuration, and no counted operation.
    pub const DEFAULT: Self = Self {
        operations: |_| Ok(OpCount::default()),
        params: |_, _| Params::new(),
        configs: &[],
        golden: None,
        element: |_, _, _| None,
        optional: |_, _| Tensors::new(),
    };
}

/// Random numbers that are equal on every machine (SplitMix64).
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// Generator with this seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A uniformly random integer in `low..=high`.
    pub fn count(&mut self, low: usize, high: usize) -> usize {
        low + (self.draw() % (high - low + 1) as u64) as usize
    }

    /// A random truth value.
    pub fn flag(&mut self) -> bool {
        self.draw() & 1 == 1
    }

    /// One of `choices`.
    pub fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.count(0, choices.len() - 1)]
    }

    /// Uniform in `[low, high)`.
    pub fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// An approximately normal number of mean 0 and variance 1.
    pub fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.between(-0.5, 0.5)).sum()
    }
}

/// A random level.
pub(crate) fn level(random: &mut Random) -> Level {
    random.of(&[Level::Core, Level::Layer])
}

/// Random sizes without heads.
pub(crate) fn sizes(random: &mut Random, causal: bool) -> Params {
    let mut config = Params::new();
    config.set("batch", random.count(1, 3));
    config.set("length", random.count(1, 150));
    config.set("d_model", random.count(1, 40));
    config.set("causal", causal);
    config
}

/// Random sizes with a number of heads that divides the width.
pub(crate) fn headed(random: &mut Random, causal: bool, level: Level) -> Params {
    let mut config = sizes(random, causal);
    let (heads, d_head) = (random.count(1, 4), random.count(1, 24));
    config.set("d_model", heads * d_head);
    config.set("heads", heads);
    config.set("head_dim", d_head);
    if level == Level::Core {
        config.set("scale", (d_head as f64).sqrt().recip());
    }
    config
}

/// Reads a positive integer from a configuration that has it.
pub(crate) fn get(config: &Params, name: &str) -> usize {
    config.count(name, 1, usize::MAX).unwrap()
}

/// Whether a configuration sets this flag.
pub(crate) fn is_set(config: &Params, name: &str) -> bool {
    config.flag_or(name, false).unwrap()
}

/// Tensors of the initial state of a sequence.
pub(crate) fn initial_state(config: &Params, random: &mut Random) -> Tensors {
    let mut tensors = Tensors::new();
    let shape = [get(config, "batch"), get(config, "units")];
    if random.flag() {
        for name in if is_set(config, "mixed_memory") { &["h0", "c0"][..] } else { &["h0"] } {
            let data = (0..shape[0] * shape[1]).map(|_| (0.5 * random.normal()) as f32).collect();
            tensors.insert(*name, &shape, data);
        }
    }
    tensors
}
