//! Generated golden files: random sizes and configurations of every system within the format, with outputs of the f64
//! reference, written as files and verified through the public interface.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test that cannot make its input has failed")]

mod tensors;

use compute::{GpuChoice, Host, Machine, MachineOptions};
use kernels::trials::Random;
use libtest_mimic::{Arguments, Trial};
use mixer::{Backend, Case, Level, Params, System, Tensor, Value};
use pollster::block_on;
use safetensors::Dtype;
use safetensors::tensor::TensorView;

/// Files per configuration of a system.
const FILES: u64 = 20;

/// One configuration's file: its tensors are what the reference asks for, its output what the reference makes of them.
fn file(system: &System, level: Level, config: &Params, random: &mut Random) -> Vec<u8> {
    let trials = kernels::trials_of(system.info().id).unwrap();
    let mut case = Case { level, config: config.clone(), tensors: (trials.optional)(config, random) };
    let y = tensors::fill(&mut case, trials, random, |case| system.reference(case));
    let shape = output_shape(config, y.len());
    case.tensors.insert("y", &shape, y.iter().map(|&value| value as f32).collect());
    let largest = y.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
    assert!(largest > 1e-3 && largest < 1e4, "{}: outputs up to {largest}", system.info().id);
    write(system.info().id, level, config, &case)
}

/// The shape of an output of `len` elements, as the configuration states its leading dimensions.
fn output_shape(config: &Params, len: usize) -> Vec<usize> {
    let stated = |name: &str| config.get(name).and_then(|_| config.count(name, 1, usize::MAX).ok());
    let mut shape = vec![stated("batch").unwrap_or(1)];
    if let Some(length) = stated("length") {
        shape.push(stated("l_max").map_or(length, |most| length.min(most)));
    }
    let leading: usize = shape.iter().product();
    shape.push(len / leading);
    assert_eq!(shape.iter().product::<usize>(), len);
    shape
}

fn write(system: &str, level: Level, config: &Params, case: &Case) -> Vec<u8> {
    let object: serde_json::Map<String, serde_json::Value> =
        config.iter().map(|(name, value)| (name.to_owned(), json(value))).collect();
    // The tolerances of the system's shipped files, whose outputs are of order one.
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

/// Verifies files of every configuration of a system.
fn check(system: &'static System) {
    let options = MachineOptions {
        threads: 2,
        gpu: GpuChoice::Off,
        ..MachineOptions::new(Host::native(), kernels::find)
    };
    let mut machine = block_on(Machine::new(options)).unwrap();
    let name = system.info().id;
    let trials = kernels::trials_of(name).unwrap();
    let configs = trials.golden.map_or(trials.configs, |other| kernels::trials_of(other).unwrap().configs);
    assert!(!configs.is_empty(), "{name} has no configurations: add some to its trials.rs");
    for (index, make) in configs.iter().enumerate() {
        for seed in 0..FILES {
            let mut random = Random::new(seed * 1000 + index as u64);
            let (level, config) = make(&mut random);
            let bytes = file(system, level, &config, &mut random);
            let result = block_on(machine.verify_golden(&bytes, None, Backend::Cpu));
            let result = result.unwrap_or_else(|error| panic!("{name} {level:?} {config:?}: {error}"));
            assert!(result.deviation.pass, "{level:?} {config:?}: {result:?}");
            assert!(result.unread.is_empty(), "{result:?}");
        }
    }
}

fn main() {
    let trial = |system: &'static System| {
        Trial::test(system.info().id, move || {
            check(system);
            Ok(())
        })
    };
    let trials = kernels::systems().map(trial).collect();
    libtest_mimic::run(&Arguments::from_args(), trials).exit();
}
