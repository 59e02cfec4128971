use mixer::{GpuTarget, Params};

use super::*;
use crate::testing::{self, PROBLEM, sparse};

testing::liquid_battery!(LTC, "ltc");

testing::decode::decode_battery!(LTC, "ltc", |_: &Problem| {
    let mut mixed = Params::new();
    mixed.set("mixed_memory", true);
    vec![Params::new(), mixed]
});

/// The closed form of a sparse wiring's memory is an upper bound, so the battery cannot hold it to the bytes.
#[test]
fn a_sparse_wiring_decodes_too() {
    testing::decode::agrees_with_reference(&LTC, |_| vec![sparse()]);
}

#[test]
fn the_cost_counts_the_synapses_of_a_sparse_wiring() {
    let full = LTC.cost(&PROBLEM, &Params::new()).unwrap().flops;
    let case = LTC.seeded_case(&PROBLEM, &sparse()).unwrap();
    let spec = Spec::read(&case).unwrap();
    let synapses = spec.recurrent(&case.tensors).unwrap().mask.iter().filter(|&&mask| mask != 0.0).count();
    assert!(synapses < spec.units * spec.units / 3, "{synapses} of {}", spec.units * spec.units);
    assert!(LTC.cost(&PROBLEM, &sparse()).unwrap().flops < 3 * full);
}

#[test]
fn fewer_units_than_outputs_are_an_error_that_names_the_field() {
    let mut params = Params::new();
    params.set("units", 8_usize);
    let problem = Problem { level: Level::Layer, ..PROBLEM };
    let error = LTC.seeded_case(&problem, &params).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "params.units"));
}

/// A step of this many neurons with all synapses has more loop iterations than software adapters allow.
#[test]
fn software_adapters_refuse_steps_with_too_many_iterations() {
    let mut params = Params::new();
    params.set("wiring", "full");
    for (units, fits) in [(1500_usize, true), (1800, false)] {
        params.set("units", units);
        let problem = Problem { seq_len: 2, d_model: 4, n_heads: 1, level: Level::Core, ..PROBLEM };
        let case = LTC.seeded_case(&problem, &params).unwrap();
        let target = GpuTarget {
            max_storage_binding_bytes: 1 << 30,
            max_buffer_bytes: 1 << 30,
            ..GpuTarget::WEBGPU_DEFAULTS
        };
        assert!(LTC.gpu(&case, &target).is_ok());
        let software = GpuTarget { is_fallback: true, ..target };
        match LTC.gpu(&case, &software) {
            Ok(_) => assert!(fits),
            Err(MixerError::NeedsLimit { needed, available, .. }) => {
                assert!(!fits && needed > available);
            }
            Err(other) => panic!("{other:?}"),
        }
    }
}
