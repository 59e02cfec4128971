//! A lane on either backend: a case, made ready to run.

use std::sync::Arc;

use mixer::{Case, Deviation, Finished, LaneError, System};

use crate::cpu::CpuLane;
use crate::gpu::GpuLane;
use crate::ledger::Holding;

/// What the f64 reference may spend on the rows that it recomputes after a lane was timed: some tenths of a second.
const SPOT_CHECK_FLOPS: u64 = 1 << 28;

/// Words of the output's beginning, middle and end that every run reads.
pub(crate) const PROBE_WORDS: usize = 1024;

/// Rows of a lane's output that were compared with the f64 reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Spotted {
    /// How far apart they are.
    pub deviation: Deviation,
    /// Which they are, of `[batch · length]`.
    pub rows: Vec<usize>,
}

/// A case made ready on a backend. Dropping it frees all that it holds.
pub struct Lane {
    inner: Inner,
    _holdings: Vec<Holding>,
}

enum Inner {
    Cpu(CpuLane),
    Gpu { system: &'static dyn System, case: Arc<Case>, lane: GpuLane },
}

impl Lane {
    pub(crate) fn cpu(lane: CpuLane, holdings: Vec<Holding>) -> Self {
        Self { inner: Inner::Cpu(lane), _holdings: holdings }
    }

    pub(crate) fn gpu(
        system: &'static dyn System,
        case: Arc<Case>,
        lane: GpuLane,
        holdings: Vec<Holding>,
    ) -> Self {
        Self { inner: Inner::Gpu { system, case, lane }, _holdings: holdings }
    }

    /// The case that runs.
    pub fn case(&self) -> &Case {
        match &self.inner {
            Inner::Cpu(lane) => lane.case(),
            Inner::Gpu { case, .. } => case,
        }
    }

    /// Most bytes held at once: host memory on the CPU, device memory on the GPU.
    pub fn peak_bytes(&self) -> u64 {
        match &self.inner {
            Inner::Cpu(lane) => lane.peak_bytes(),
            Inner::Gpu { lane, .. } => lane.device_bytes(),
        }
    }

    /// The system's name and the operations per second that it reached, on the GPU.
    pub(crate) fn gpu_rate(&self) -> Option<(&'static str, f64)> {
        match &self.inner {
            Inner::Cpu(_) => None,
            Inner::Gpu { system, lane, .. } => Some((system.info().id, lane.flops_per_s()?)),
        }
    }

    pub(crate) async fn run(&mut self, repeats: u32) -> Result<Finished, LaneError> {
        match &mut self.inner {
            Inner::Cpu(lane) => Ok(Finished { checksum: lane.run(repeats as usize)?, ..Finished::default() }),
            Inner::Gpu { lane, .. } => lane.run(repeats).await,
        }
    }

    /// The last run's output, row-major.
    pub(crate) async fn output(&self) -> Result<Vec<f32>, LaneError> {
        match &self.inner {
            Inner::Cpu(lane) => Ok(lane.output().to_vec()),
            Inner::Gpu { lane, .. } => lane.output().await,
        }
    }

    /// Compares rows of the last output with the f64 reference, and sees that all of it is finite.
    pub(crate) async fn spot_check(&self) -> Result<Spotted, LaneError> {
        let (system, case, lane) = match &self.inner {
            Inner::Cpu(lane) => return lane.spot_check(SPOT_CHECK_FLOPS),
            Inner::Gpu { system, case, lane } => (*system, case, lane),
        };
        let check = system.spot_check(case, SPOT_CHECK_FLOPS)?;
        let width = check.expected.len() / check.rows.len().max(1);
        let mut rows = vec![f32::NAN; check.expected.len()];
        let mut not_finite = None;
        lane.read(|offset, piece| {
            not_finite = not_finite.or_else(|| {
                let index = piece.iter().position(|value| !value.is_finite())?;
                Some((offset + index, piece[index]))
            });
            for (row, values) in check.rows.iter().zip(rows.chunks_mut(width.max(1))) {
                copy_overlap(values, row * width, piece, offset);
            }
        })
        .await?;
        if let Some((index, value)) = not_finite {
            return Err(LaneError::NotFinite { index, value });
        }
        let deviation = system.info().tolerance.compare_f32(&rows, &check.expected);
        Ok(Spotted { deviation, rows: check.rows })
    }
}

/// Copies what `to`, which begins at `to_start`, and `from`, which begins at `from_start`, have in common.
fn copy_overlap(to: &mut [f32], to_start: usize, from: &[f32], from_start: usize) {
    let start = to_start.max(from_start);
    let end = (to_start + to.len()).min(from_start + from.len());
    if start < end {
        to[start - to_start..end - to_start].copy_from_slice(&from[start - from_start..end - from_start]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_gathered_from_the_pieces_that_it_spans() {
        let mut row = [0.0; 4];
        copy_overlap(&mut row, 6, &[1.0; 8], 0);
        assert_eq!(row, [1.0, 1.0, 0.0, 0.0]);
        copy_overlap(&mut row, 6, &[2.0; 8], 8);
        assert_eq!(row, [1.0, 1.0, 2.0, 2.0]);
        copy_overlap(&mut row, 6, &[3.0; 8], 16);
        assert_eq!(row, [1.0, 1.0, 2.0, 2.0]);
    }
}
