//! Golden files of attention hold for it.

use crate::trials::Trials;

pub(crate) static TRIALS: Trials = Trials { golden: Some("attention"), ..Trials::DEFAULT };
