use mixer::{Params, Problem};

use super::*;
use crate::testing::{self, PROBLEM, sparse};

testing::liquid_battery!(CFC, "cfc");

testing::decode::decode_battery!(CFC, "cfc", |_: &Problem| {
    let with = |name: &str, value: Value| {
        let mut params = Params::new();
        params.set(name, value);
        params
    };
    vec![
        Params::new(),
        sparse(),
        with("mixed_memory", true.into()),
        with("mode", "pure".into()),
        with("backbone_layers", 0_usize.into()),
    ]
});

#[test]
fn too_few_units_for_the_outputs_are_an_error() {
    let mut params = sparse();
    params.set("units", 8_usize);
    let error = CFC.seeded_case(&PROBLEM, &params).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "params.units"));
}

#[test]
fn layer_sizes_with_a_wrong_sum_are_an_error() {
    let mut case = CFC.seeded_case(&PROBLEM, &sparse()).unwrap();
    case.config.set("layer_sizes", Value::List(vec![Value::Int(1), Value::Int(2)]));
    let error = CFC.reference(&case).unwrap_err();
    assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "layer_sizes"));
}

/// Every form with and without a backbone.
#[test]
fn all_forms_agree_with_the_reference() {
    for mode in ["default", "no_gate", "pure"] {
        for layers in 0..3_usize {
            for activation in ACTIVATIONS {
                let mut params = Params::new();
                params.set("mode", mode);
                params.set("backbone_layers", layers);
                params.set("backbone_units", 20_usize);
                params.set("activation", activation);
                let problem = Problem { seq_len: 70, d_model: 10, batch: 2, ..PROBLEM };
                testing::agrees_with_reference(&CFC, &problem, &params);
            }
        }
    }
}
