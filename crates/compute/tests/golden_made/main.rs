//! Golden files that nobody has seen before: random sizes and configurations of every system, within what the format
//! allows, with outputs of the f64 reference, written as files and verified through the door that users have.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot make its input has failed")]

mod configs;
mod tensors;

use compute::{GpuChoice, Host, Machine, MachineOptions};
use mixer::{Backend, Case, Level, Params, System, Tensor, Value};
use pollster::block_on;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Files per configuration of a system.
const FILES: u64 = 20;

/// Random numbers, the same on every machine (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number of `low..=high`.
    pub(crate) fn count(&mut self, low: usize, high: usize) -> usize {
        low + (self.draw() % (high - low + 1) as u64) as usize
    }

    pub(crate) fn flag(&mut self) -> bool {
        self.draw() & 1 == 1
    }

    pub(crate) fn of<T: Copy>(&mut self, choices: &[T]) -> T {
        choices[self.count(0, choices.len() - 1)]
    }

    /// Uniform in `[low, high)`.
    pub(crate) fn between(&mut self, low: f64, high: f64) -> f64 {
        low + (high - low) * (self.draw() >> 11) as f64 / (1_u64 << 53) as f64
    }

    /// Nearly normal, of mean 0 and variance 1.
    pub(crate) fn normal(&mut self) -> f64 {
        (0..12).map(|_| self.between(-0.5, 0.5)).sum()
    }
}

/// One configuration's file: its tensors are what the reference asks for, its output what the reference makes of them.
fn file(system: &dyn System, level: Level, config: &Params, random: &mut Random) -> Vec<u8> {
    let mut case = Case { level, config: config.clone(), tensors: tensors::optional(config, random) };
    let y = tensors::fill(&mut case, random, |case| system.reference(case));
    let shape = configs::output_shape(config, y.len());
    case.tensors.insert("y", &shape, y.iter().map(|&value| value as f32).collect());
    let largest = y.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    assert!(largest > 1e-3 && largest < 1e4, "{}: outputs up to {largest}", system.info().id);
    write(system.info().id, level, config, &case)
}

fn write(system: &str, level: Level, config: &Params, case: &Case) -> Vec<u8> {
    let object: serde_json::Map<String, serde_json::Value> =
        config.iter().map(|(name, value)| (name.to_owned(), json(value))).collect();
    // Those of the shipped files of the system, where outputs are of order one.
    let tolerance = kernels::find(system).unwrap().info().tolerance;
    let header = [
        ("system", system.to_owned()),
        ("case", "made".to_owned()),
        ("level", level.name().to_owned()),
        ("reference", "the f64 reference".to_owned()),
        ("precision", "float64".to_owned()),
        ("config", serde_json::Value::Object(object).to_string()),
        ("tolerance", serde_json::json!({"abs": tolerance.abs, "rel": tolerance.rel}).to_string()),
    ];
    let header = header.into_iter().map(|(key, text)| (key.to_owned(), text)).collect();
    let bytes: Vec<(String, Dtype, Vec<usize>, Vec<u8>)> = case
        .tensors
        .iter()
        .map(|(name, tensor)| match tensor {
            Tensor::F32 { shape, data } => {
                let data = data.iter().flat_map(|value| value.to_le_bytes()).collect();
                (name.to_owned(), Dtype::F32, shape.clone(), data)
            }
            Tensor::I32 { shape, data } => {
                let data = data.iter().flat_map(|value| value.to_le_bytes()).collect();
                (name.to_owned(), Dtype::I32, shape.clone(), data)
            }
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, dtype, shape, data)| (name, TensorView::new(*dtype, shape.clone(), data).unwrap()));
    safetensors::serialize(views, Some(header)).unwrap()
}

fn json(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(flag) => (*flag).into(),
        Value::Int(count) => (*count).into(),
        Value::Float(number) => (*number).into(),
        Value::Text(word) => word.as_str().into(),
        Value::List(values) => values.iter().map(json).collect(),
    }
}

/// Verifies files of every configuration that `configs` has for a system.
fn check(name: &str) {
    let options = MachineOptions {
        threads: 2,
        gpu: GpuChoice::Off,
        ..MachineOptions::new(Host::native(), kernels::find)
    };
    let mut machine = block_on(Machine::new(options)).unwrap();
    let system = kernels::find(name).unwrap();
    let made = configs::of(name);
    assert!(!made.is_empty(), "{name} has no configurations: add some to configs.rs");
    for (index, make) in made.iter().enumerate() {
        for seed in 0..FILES {
            let mut random = Random(seed * 1000 + index as u64);
            let (level, config) = make(&mut random);
            let bytes = file(system, level, &config, &mut random);
            let result = block_on(machine.verify_golden(&bytes, None, Backend::Cpu));
            let result = result.unwrap_or_else(|error| panic!("{name} {level:?} {config:?}: {error}"));
            assert!(result.deviation.pass, "{level:?} {config:?}: {result:?}");
            assert!(result.unread.is_empty(), "{result:?}");
        }
    }
}

#[test]
fn every_system_has_configurations_here() {
    for system in kernels::systems() {
        assert!(!configs::of(system.info().id).is_empty(), "{} has none", system.info().id);
    }
}

macro_rules! systems {
    ($($test:ident: $name:literal),*) => {$(
        #[test]
        fn $test() {
            check($name);
        }
    )*};
}

systems! {
    attention: "attention",
    attention_naive: "attention-naive",
    hyena: "hyena",
    monarch_mixer: "monarch-mixer",
    bigs: "bigs",
    mega: "mega",
    ltc: "ltc",
    cfc: "cfc",
    liquid_s4: "liquid-s4",
    linformer: "linformer",
    longformer: "longformer",
    bigbird: "bigbird",
    reformer: "reformer",
    performer: "performer"
}
