//! Sets of parameters that links store by number: the defaults of the systems. The table only grows at its end. A set
//! that is not in the table is spelled out, so that a changed default makes links a little longer and never changes the
//! meaning of an older link.

use std::collections::BTreeMap;

use super::LinkError;
use crate::ParamValue;

/// A value in the table.
enum Known {
    Flag(bool),
    Whole(i64),
    Real(f64),
    Word(&'static str),
}

use Known::{Flag, Real, Whole, Word};

/// Append only; never change, never reorder. System, and parameters in name order.
const SETS: &[(&str, &[(&str, Known)])] = &[
    ("attention", &[]),
    ("attention-naive", &[]),
    (
        "hyena",
        &[
            ("emb_dim", Whole(33)),
            ("filter_order", Whole(64)),
            ("order", Whole(2)),
            ("short_filter_order", Whole(3)),
        ],
    ),
    (
        "monarch-mixer",
        &[
            ("emb_dim", Whole(5)),
            ("expansion", Whole(4)),
            ("filter_order", Whole(128)),
            ("nblocks", Whole(4)),
            ("part", Word("sequence")),
            ("residual_long_conv", Flag(true)),
        ],
    ),
    (
        "bigs",
        &[("expansion", Whole(3)), ("gelu", Word("erf")), ("num_ssm", Whole(64)), ("pre_norm", Flag(true))],
    ),
    (
        "mega",
        &[
            ("attention_activation", Word("softmax")),
            ("chunk_size", Whole(128)),
            ("core", Word("attention")),
            ("ema_projection_size", Whole(16)),
            ("expansion", Whole(2)),
            ("normalization_type", Word("scalenorm")),
            ("normalize_before_mega", Flag(true)),
            ("relative_positional_bias", Word("rotary")),
            ("shared_representation_size", Whole(64)),
            ("truncation", Whole(0)),
            ("use_chunking", Flag(true)),
        ],
    ),
    (
        "ltc",
        &[
            ("mixed_memory", Flag(false)),
            ("ode_unfolds", Whole(6)),
            ("sparsity_level", Real(0.5)),
            ("units", Whole(0)),
            ("wiring", Word("full")),
        ],
    ),
    (
        "cfc",
        &[
            ("activation", Word("lecun_tanh")),
            ("backbone_layers", Whole(1)),
            ("backbone_units", Whole(128)),
            ("mixed_memory", Flag(false)),
            ("mode", Word("default")),
            ("sparsity_level", Real(0.5)),
            ("units", Whole(0)),
            ("wiring", Word("full")),
        ],
    ),
    (
        "liquid-s4",
        &[
            ("allcombs", Flag(true)),
            ("bidirectional", Flag(false)),
            ("d_state", Whole(64)),
            ("lcontract", Word("none")),
            ("liquid_degree", Whole(2)),
            ("liquid_kernel", Word("auto")),
        ],
    ),
    ("linformer", &[("one_kv_head", Flag(false)), ("rank", Whole(256)), ("share_kv", Flag(false))]),
    ("longformer", &[("dilation", Whole(1)), ("n_global", Whole(1)), ("window", Whole(512))]),
    ("bigbird", &[("block_size", Whole(64)), ("num_random_blocks", Whole(3))]),
    (
        "reformer",
        &[
            ("chunk_length", Whole(64)),
            ("chunks_after", Whole(0)),
            ("chunks_before", Whole(1)),
            ("kind", Word("lsh")),
            ("num_buckets", Whole(0)),
            ("num_hashes", Whole(4)),
        ],
    ),
    (
        "hyena",
        &[
            ("decode_method", Word("online")),
            ("emb_dim", Whole(33)),
            ("filter_order", Whole(64)),
            ("order", Whole(2)),
            ("short_filter_order", Whole(3)),
        ],
    ),
    (
        "monarch-mixer",
        &[
            ("decode_method", Word("online")),
            ("emb_dim", Whole(5)),
            ("expansion", Whole(4)),
            ("filter_order", Whole(128)),
            ("nblocks", Whole(4)),
            ("part", Word("sequence")),
            ("residual_long_conv", Flag(true)),
        ],
    ),
    ("attention", &[("kv_heads", Whole(0))]),
    ("attention-naive", &[("kv_heads", Whole(0))]),
];

fn params(set: &[(&str, Known)]) -> BTreeMap<String, ParamValue> {
    let one = |(name, value): &(&str, Known)| {
        let value = match value {
            Flag(flag) => ParamValue::Bool(*flag),
            Whole(whole) => ParamValue::Int(*whole),
            Real(real) => ParamValue::Float(*real),
            Word(word) => ParamValue::Text((*word).to_owned()),
        };
        ((*name).to_owned(), value)
    };
    set.iter().map(one).collect()
}

/// The number of a system's set, if it is in the table.
pub(super) fn find(system: &str, given: &BTreeMap<String, ParamValue>) -> Option<u32> {
    (0..).zip(SETS).find(|(_, (name, set))| *name == system && params(set) == *given).map(|(index, _)| index)
}

/// The set with this number.
pub(super) fn get(index: u32) -> Result<BTreeMap<String, ParamValue>, LinkError> {
    let set = SETS.get(index as usize).ok_or_else(|| LinkError::content("parameters of a newer version"))?;
    Ok(params(set.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_are_found_by_their_parameters() {
        for (index, (system, set)) in (0..).zip(SETS) {
            assert_eq!(find(system, &params(set)), Some(index));
            assert_eq!(get(index).unwrap(), params(set));
        }
        let mut other = get(find("hyena", &get(2).unwrap()).unwrap()).unwrap();
        other.insert("order".to_owned(), ParamValue::Int(3));
        assert_eq!(find("hyena", &other), None);
        assert!(get(SETS.len() as u32).is_err() && get(u32::MAX).is_err());
    }
}
