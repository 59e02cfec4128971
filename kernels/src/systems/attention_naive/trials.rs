//! Golden files of attention hold for it.

use crate::trials::Trials;

pub(crate) static TRIALS: Trials = Trials {
    operations: crate::model::operations::<crate::multi_head::Spec>,
    golden: Some("attention"),
    ..Trials::DEFAULT
};
