//! Golden files of attention hold for it.

use crate::trials::Trials;

pub(super) static TRIALS: Trials = Trials { golden: Some("attention"), ..Trials::DEFAULT };
