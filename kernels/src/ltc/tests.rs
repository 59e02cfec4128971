use mixer::{Params, System};

use super::*;
use crate::testing::{self, PROBLEM, sparse};

testing::liquid_battery!(LTC, "ltc");

#[test]
fn a_sparse_wiring_costs_what_its_synapses_cost() {
    let full = LTC.cost(&PROBLEM, &Params::new()).unwrap().flops;
    let case = LTC.seeded_case(&PROBLEM, &sparse()).unwrap();
    let spec = Spec::read(&case).unwrap();
    let synapses = spec.recurrent(&case.tensors).unwrap().mask.iter().filter(|&&mask| mask != 0.0).count();
    assert!(synapses < spec.units * spec.units / 3, "{synapses} of {}", spec.units * spec.units);
    assert!(LTC.cost(&PROBLEM, &sparse()).unwrap().flops < 3 * full);
}

#[test]
fn fewer_units_than_outputs_are_refused_by_name() {
    let mut params = Params::new();
    params.set("units", 8_usize);
    let problem = Problem { level: Level::Layer, ..PROBLEM };
    let error = LTC.seeded_case(&problem, &params).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "params.units"));
}
