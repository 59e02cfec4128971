//! The race itself, from its specification to its record.

use mixer::Executor;

use crate::record::{Dnf, LaneRecord, Outcome, Point, RaceSpec, Record, Status};
use crate::{Clock, CostFn, RaceError, Watch};

/// Runs a race to its end, to its budget, or until it is cancelled; whatever was measured is in the record.
///
/// `spec` is normalized and validated first. `costs` gives the closed-form cost of a lane at a problem. Nothing here
/// blocks for long except the executor itself: between any two of its steps the engine lets it breathe and looks at
/// `watch`.
///
/// # Errors
/// [`RaceError`] where no race can be run at all. A lane that cannot run is a value in the record.
pub async fn run<E: Executor, C: Clock, W: Watch>(
    spec: RaceSpec,
    costs: &CostFn<'_>,
    executor: &mut E,
    clock: &C,
    watch: &W,
) -> Result<Record, RaceError> {
    let spec = spec.normalized()?;
    let lanes = spec.lanes.iter().map(|lane| LaneRecord {
        spec: lane.clone(),
        verification: None,
        points: Vec::new(),
        fit: None,
    });
    let mut record = Record {
        lanes: lanes.collect(),
        status: Status::Running,
        crossovers: Vec::new(),
        tick_ns: 0.0,
        warnings: Vec::new(),
        spec,
    };
    for lane_idx in 0..record.lanes.len() {
        for seq_len in record.spec.lengths.clone() {
            executor.breathe().await;
            if watch.cancelled() {
                record.status = Status::Cancelled;
                return Ok(record);
            }
            let point = measure(&record.spec, lane_idx, seq_len, costs, executor, clock).await;
            if let (Some(lane), Some(point)) = (record.lanes.get_mut(lane_idx), point) {
                lane.points.push(point);
            }
            watch.record(&record);
        }
    }
    record.status = Status::Done;
    Ok(record)
}

/// A plain measurement, one lane after the other: the schedule is still to come.
async fn measure<E: Executor, C: Clock>(
    spec: &RaceSpec,
    lane_idx: usize,
    seq_len: usize,
    costs: &CostFn<'_>,
    executor: &mut E,
    clock: &C,
) -> Option<Point> {
    let lane_spec = spec.lanes.get(lane_idx)?;
    let problem = spec.problem(seq_len);
    let mut point = Point {
        seq_len,
        outcome: Outcome::Ok,
        samples_ns: Vec::new(),
        repeats: 1,
        discarded: 0,
        q1_ns: 0.0,
        median_ns: 0.0,
        q3_ns: 0.0,
        min_ns: 0.0,
        device_ns: None,
        setup_ns: 0.0,
        first_run_ns: 0.0,
        cost: costs(lane_spec, &problem).unwrap_or_default(),
        peak_bytes: 0,
        predicted_ns: None,
        verified: None,
    };
    let outcome = async {
        let (mut lane, prepared) = executor.prepare(lane_spec, &problem).await?;
        for _ in 0..5 {
            let start_ns = clock.now_ns();
            executor.run(&mut lane, 1).await?;
            point.samples_ns.push(clock.now_ns() - start_ns);
        }
        point.peak_bytes = prepared.peak_bytes;
        point.verified = Some(executor.check(&mut lane).await?);
        Ok::<_, mixer::LaneError>(())
    };
    if let Err(error) = outcome.await {
        point.outcome =
            Outcome::Dnf(Dnf::Failed { code: error.code().to_owned(), message: error.to_string() });
    }
    if let Some(quartiles) = crate::stats::quartiles(&point.samples_ns) {
        (point.q1_ns, point.median_ns, point.q3_ns) = (quartiles.q1, quartiles.median, quartiles.q3);
        point.min_ns = point.samples_ns.iter().copied().fold(f64::INFINITY, f64::min);
    }
    Some(point)
}
