//! Divides the budget. Each length gets a share of the remaining time, longer lengths a larger one. Within one length,
//! time is divided by max-min fairness: each lane gets min(demand, level), and the level rises when other lanes need
//! less. Unused time carries over to longer lengths.

use mixer::{Cost, Executor};

use crate::growth::{self, Growth};
use crate::state::{Measured, Race};
use crate::{Clock, Watch, analysis};

/// Least length of a sample in steps of the clock, so that rounding is at most a twentieth of it.
pub(crate) const MIN_TICKS: f64 = 20.0;
/// Least length of a sample where that is cheap, so that the fixed costs around it are negligible.
const MIN_SAMPLE_NS: f64 = 2e6;
/// Safety factor on predictions before they are compared with a share.
pub(crate) const CAUTION: f64 = 1.15;
/// Expected number of warm-up and sampling rounds of a point's first set-up, before any was measured.
pub(crate) const EXPECTED_ROUNDS: f64 = 12.0;
/// The number corresponding to [`EXPECTED_ROUNDS`] for long runs.
const EXPECTED_LONG_ROUNDS: f64 = 4.0;
/// Set-ups of a lane at a length where time allows; [`LONG_SET_UPS`] where its runs are long.
pub(crate) const SET_UPS: u32 = 5;
pub(crate) const LONG_SET_UPS: u32 = 2;
/// Fewest rounds of an honest point.
pub(crate) const LEAST_ROUNDS: f64 = 3.0;
/// Duration from which runs are long and sampled fewer times.
pub(crate) const LONG_RUN_NS: f64 = 1e9;
/// Assumed nanoseconds per operation before any was measured; used by the progress display only.
const CPU_NS_PER_FLOP: f64 = 0.2;
const GPU_NS_PER_FLOP: f64 = 0.02;
/// Largest share of the remaining budget reserved for the drift check.
const DRIFT_SHARE: f64 = 0.1;
/// Expected number of rounds of the drift check per lane.
const DRIFT_ROUNDS: f64 = 10.0;

/// Time that one lane asks for at a length.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Demand {
    /// Least time of an honest point: set-up, a first run, one sample, the check.
    pub least_ns: f64,
    /// Time of a point with all its samples.
    pub wanted_ns: f64,
}

/// Divides `capacity_ns` by max-min fairness: each lane gets min(wanted, level), and the level rises when other lanes
/// need less. A lane whose least time exceeds its grant is refused (`None`), the most demanding lane first. Time left
/// over when every demand is met is shared equally.
pub(crate) fn divide(capacity_ns: f64, demands: &[Demand]) -> Vec<Option<f64>> {
    let mut admitted: Vec<bool> = demands.iter().map(|_| capacity_ns > 0.0).collect();
    loop {
        let field = || demands.iter().zip(admitted.iter().copied());
        let wants = field().filter(|(_, admitted)| *admitted).map(|(demand, _)| demand.wanted_ns);
        let (level_ns, spare_ns) = level(capacity_ns, wants.collect());
        let grant = |demand: &Demand| demand.wanted_ns.min(level_ns) + spare_ns;
        let refused = field()
            .enumerate()
            .filter(|(_, (demand, admitted))| *admitted && demand.least_ns > grant(demand))
            .max_by(|(_, (a, _)), (_, (b, _))| a.least_ns.total_cmp(&b.least_ns))
            .map(|(index, _)| index);
        let Some(refused) = refused else {
            return field().map(|(demand, admitted)| admitted.then(|| grant(demand))).collect();
        };
        if let Some(admitted) = admitted.get_mut(refused) {
            *admitted = false;
        }
    }
}

/// The level up to which demands can be met (infinite where all can be met), and each lane's part of the surplus.
fn level(capacity_ns: f64, mut wants: Vec<f64>) -> (f64, f64) {
    wants.sort_unstable_by(f64::total_cmp);
    let mut left_ns = capacity_ns;
    let n = wants.len();
    for (index, &want) in wants.iter().enumerate() {
        let level_ns = left_ns / (n - index) as f64;
        if want > level_ns {
            return (level_ns, 0.0);
        }
        left_ns -= want;
    }
    (f64::INFINITY, left_ns / n.max(1) as f64)
}

/// Groups of lanes that fit into memory together: first fit, in order. A lane that fits nowhere gets a group of its
/// own, so that its executor decides whether to refuse it.
pub(crate) fn group(lanes: &[(usize, usize, u64)], limits: &[u64]) -> Vec<Vec<usize>> {
    let mut groups: Vec<(Vec<usize>, Vec<u64>)> = Vec::new();
    for &(lane_idx, backend, bytes) in lanes {
        let limit = limits.get(backend).copied().unwrap_or(0);
        let place = groups.iter_mut().find_map(|(members, used)| {
            let used = used.get_mut(backend)?;
            (used.saturating_add(bytes) <= limit).then_some((members, used))
        });
        if let Some((members, used)) = place {
            members.push(lane_idx);
            *used += bytes;
        } else {
            let mut used = vec![0; limits.len()];
            if let Some(used) = used.get_mut(backend) {
                *used = bytes;
            }
            groups.push((vec![lane_idx], used));
        }
    }
    groups.into_iter().map(|(members, _)| members).collect()
}

impl<E: Executor, C: Clock, W: Watch> Race<'_, E, C, W> {
    /// Nanoseconds that a sample should last.
    pub fn sample_target_ns(&self) -> f64 {
        MIN_SAMPLE_NS.max(MIN_TICKS * self.record.tick_ns)
    }

    /// Time reserved for the later lengths and for the drift check, out of the remaining time. A length's weight is √L:
    /// long lengths need more, and also receive the time that short lengths do not use.
    pub fn reserve_after(&self, length_idx: usize) -> f64 {
        let weights =
            self.record.spec.lengths.iter().skip(length_idx).map(|&seq_len| (seq_len as f64).sqrt());
        let total: f64 = weights.clone().sum();
        let own = weights.clone().next().unwrap_or(total);
        let remaining_ns = self.remaining_ns().max(0.0);
        let drift_ns = self.drift_cost_ns().min(DRIFT_SHARE * remaining_ns);
        drift_ns + (remaining_ns - drift_ns) * (1.0 - own / total.max(f64::MIN_POSITIVE))
    }

    /// Expected nanoseconds of measuring the first length again, over all lanes.
    pub fn drift_cost_ns(&self) -> f64 {
        (0..self.lanes.len()).filter_map(|lane_idx| self.drift_lane_cost_ns(lane_idx)).sum()
    }

    /// Expected nanoseconds of measuring the first length again for one lane; `None` where it was not measured.
    pub fn drift_lane_cost_ns(&self, lane_idx: usize) -> Option<f64> {
        let first = self.lanes.get(lane_idx)?.history.first()?;
        let measured = first.seq_len == self.seq_len(0);
        measured.then_some(first.setup_ns + first.run_ns + DRIFT_ROUNDS * first.sample_ns)
    }

    /// Time that a lane asks for at a length.
    pub fn demand(&self, lane_idx: usize, length_idx: usize) -> Demand {
        let overhead_ns = self.overhead_ns(lane_idx, length_idx);
        let run_ns = CAUTION * self.expected_run_ns(lane_idx, length_idx).unwrap_or(0.0);
        let rounds = if run_ns > LONG_RUN_NS { EXPECTED_LONG_ROUNDS } else { EXPECTED_ROUNDS };
        Demand {
            least_ns: overhead_ns + 2.0 * run_ns,
            wanted_ns: overhead_ns + run_ns + CAUTION * rounds * run_ns.max(self.sample_target_ns()),
        }
    }

    /// Expected nanoseconds of one forward pass at a length: the larger of two extrapolations of the last known time,
    /// by closed-form operations and by the last slope. `None` where no time is known.
    pub fn expected_run_ns(&self, lane_idx: usize, length_idx: usize) -> Option<f64> {
        let lane = self.lanes.get(lane_idx)?;
        let anchor = lane.anchor?;
        let by_cost_ns = scale(anchor.run_ns, anchor.flops, self.cost(lane_idx, length_idx));
        let by_slope_ns = match lane.history.as_slice() {
            [.., before, last] => extend(*before, *last, self.seq_len(length_idx)),
            _ => None,
        };
        Some(by_slope_ns.map_or(by_cost_ns, |by_slope_ns| by_slope_ns.max(by_cost_ns)))
    }

    /// The prediction for the record: from the lane's growth model where there is one, unless a longer run was
    /// timed since its last point.
    pub fn predict_ns(&self, lane_idx: usize, length_idx: usize, growth: Option<Growth>) -> Option<f64> {
        let lane = self.lanes.get(lane_idx)?;
        let last_flops = lane.history.last().map(|last| self.cost_at(lane_idx, last.seq_len).flops);
        let anchored = lane.anchor.is_some_and(|anchor| last_flops.is_none_or(|flops| anchor.flops > flops));
        let law = self.laws.get(lane_idx)?;
        let modelled_ns = growth
            .filter(|_| !anchored)
            .map(|growth| growth.at(law, (self.seq_len(length_idx) as f64).log2()))
            .filter(|ns| ns.is_finite() && *ns > 0.0);
        let predicted_ns = modelled_ns.or_else(|| self.expected_run_ns(lane_idx, length_idx));
        predicted_ns.filter(|ns| ns.is_finite() && *ns > 0.0)
    }

    /// The lane's growth model; `None` where it has too few points.
    pub fn growth(&self, lane_idx: usize) -> Option<Growth> {
        growth::fit(analysis::quick(&self.record).lane(lane_idx), self.laws.get(lane_idx)?)
    }

    /// Least nanoseconds that a point would need, as shown to readers: set-up, a first run, one sample and the check.
    /// `None` where the lane's speed is unknown.
    pub fn needed_ns(&self, lane_idx: usize, length_idx: usize) -> Option<f64> {
        self.expected_run_ns(lane_idx, length_idx)?;
        Some(self.demand(lane_idx, length_idx).least_ns).filter(|ns| ns.is_finite() && *ns > 0.0)
    }

    /// An equal part of the remaining time. A lane may spend it at once, because it takes it from its own longer
    /// lengths only.
    pub fn own_share_ns(&self) -> f64 {
        let racing = self.lanes.iter().filter(|lane| !lane.ended).count();
        self.remaining_ns() / racing.max(1) as f64
    }

    /// Expected time of a point for the progress display: like [`Race::demand`], without the safety factor, and with an
    /// assumed speed where none is known.
    pub fn expectation(&self, lane_idx: usize, length_idx: usize) -> Demand {
        let overhead_ns = self.overhead_ns(lane_idx, length_idx);
        let run_ns = self
            .expected_run_ns(lane_idx, length_idx)
            .unwrap_or_else(|| self.cost(lane_idx, length_idx).flops as f64 * self.ns_per_flop(lane_idx));
        let rounds = match self.rounds {
            _ if run_ns > LONG_RUN_NS => EXPECTED_LONG_ROUNDS,
            (_, 0) => EXPECTED_ROUNDS,
            (rounds, points) => rounds as f64 / points as f64,
        };
        Demand {
            least_ns: overhead_ns + 2.0 * run_ns,
            wanted_ns: overhead_ns + run_ns + rounds * run_ns.max(self.sample_target_ns()),
        }
    }

    /// Nanoseconds of set-up and check, extrapolated from the last length.
    fn overhead_ns(&self, lane_idx: usize, length_idx: usize) -> f64 {
        let check_ns =
            self.lanes.get(lane_idx).and_then(|lane| lane.history.last()).map_or(0.0, |last| last.check_ns);
        self.setup_ns(lane_idx, length_idx) + check_ns
    }

    /// Nanoseconds of a set-up, extrapolated from the last length. Compilation, which dominates the first set-up, does
    /// not grow with the length.
    fn setup_ns(&self, lane_idx: usize, length_idx: usize) -> f64 {
        let history = self.lanes.get(lane_idx).map(|lane| lane.history.as_slice()).unwrap_or_default();
        match history {
            [] => 0.0,
            [only] => only.setup_ns,
            [.., last] => {
                let growth = self.seq_len(length_idx) as f64 / last.seq_len.max(1) as f64;
                last.setup_ns * growth.max(1.0)
            }
        }
    }

    fn ns_per_flop(&self, lane_idx: usize) -> f64 {
        let backend = self.backend(lane_idx);
        let seen =
            (0..self.lanes.len()).filter(|&other| self.backend(other) == backend).filter_map(|other| {
                let anchor = self.lanes.get(other)?.anchor?;
                (anchor.flops > 0).then_some(anchor.run_ns / anchor.flops as f64)
            });
        seen.min_by(f64::total_cmp).unwrap_or(match backend {
            mixer::Backend::Cpu => CPU_NS_PER_FLOP,
            mixer::Backend::WebGpu => GPU_NS_PER_FLOP,
        })
    }

    fn cost_at(&self, lane_idx: usize, seq_len: usize) -> Cost {
        let length_idx = self.record.spec.lengths.iter().position(|&known| known == seq_len);
        length_idx.map(|length_idx| self.cost(lane_idx, length_idx)).unwrap_or_default()
    }
}

/// Scales a time by closed-form operations.
pub(crate) fn scale(run_ns: f64, flops: u64, to: Cost) -> f64 {
    run_ns * to.flops.max(1) as f64 / flops.max(1) as f64
}

/// Extrapolates by the last slope. Points close together define no slope, and a slope beyond cubic is noise.
fn extend(before: Measured, last: Measured, seq_len: usize) -> Option<f64> {
    let step = last.seq_len as f64 / before.seq_len.max(1) as f64;
    if step < 1.2 {
        return None;
    }
    let slope = ((last.run_ns / before.run_ns).ln() / step.ln()).clamp(0.0, 3.0);
    Some(last.run_ns * (seq_len as f64 / last.seq_len as f64).powf(slope)).filter(|ns| ns.is_finite())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn demand(least_ns: f64, wanted_ns: f64) -> Demand {
        Demand { least_ns, wanted_ns }
    }

    #[test]
    fn a_demanding_lane_gets_only_the_unused_time() {
        let modest = demand(1.0, 10.0);
        assert_eq!(
            divide(100.0, &[modest, modest, demand(70.0, 90.0)]),
            [Some(10.0), Some(10.0), Some(80.0)]
        );
        assert_eq!(divide(40.0, &[modest, modest]), [Some(20.0); 2]);
        let grants = divide(100.0, &[modest, modest, demand(81.0, 90.0)]);
        assert!(grants[0].is_some() && grants[1].is_some() && grants[2].is_none());
    }

    #[test]
    fn nothing_is_granted_of_nothing() {
        assert_eq!(divide(0.0, &[demand(0.0, 1.0)]), [None]);
        assert_eq!(divide(-5.0, &[demand(0.0, 0.0)]), [None]);
    }

    #[test]
    fn lanes_share_memory_only_where_they_fit_together() {
        let lanes = [(0, 0, 60), (1, 0, 60), (2, 0, 40), (3, 1, 90), (4, 0, 200)];
        assert_eq!(group(&lanes, &[100, 100]), [vec![0, 2, 3], vec![1], vec![4]]);
    }

    proptest! {
        #[test]
        fn grants_never_exceed_the_capacity(
            capacity in 0.1..1e6_f64,
            wants in proptest::collection::vec((0.0..1e5_f64, 0.0..1e5_f64), 1..28),
        ) {
            let demands: Vec<Demand> = wants.iter().map(|&(a, b)| demand(a.min(b), a.max(b))).collect();
            let grants = divide(capacity, &demands);
            let used: f64 = grants.iter().flatten().sum();
            prop_assert!(used <= capacity * (1.0 + 1e-9));
            for (grant, demand) in grants.iter().zip(&demands) {
                if let Some(grant) = grant {
                    prop_assert!(*grant >= demand.least_ns);
                }
            }
        }
    }
}
