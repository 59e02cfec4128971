//! This lane is tested with the golden files of attention.

use crate::trials::Trials;

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<crate::multi_head::Spec>,
    golden: Some("attention"),
    ..Trials::DEFAULT
};
