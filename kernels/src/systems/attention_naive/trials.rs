//! This lane is tested with the golden files of attention.

use crate::trials::Trials;

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<crate::multi_head::Spec>,
    params: crate::multi_head::grouped_params,
    golden: Some("attention"),
    ..Trials::DEFAULT
};
