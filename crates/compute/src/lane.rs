//! A lane on either backend: a prepared case.

use std::sync::Arc;

use mixer::{Case, Finished, LaneError, SpotDraw, System};

use crate::abandon::unless_cancelled;
use crate::cpu::CpuLane;
use crate::gpu::GpuLane;
use crate::ledger::Holding;
use crate::output::{Spotted, Spotting};
use crate::spot::spot_check;

/// Operations that the f64 reference may spend on checking a timed output: some tenths of a second.
const SPOT_CHECK_FLOPS: u64 = 1 << 28;

/// A case prepared on a backend. Dropping it frees all of its memory.
pub struct Lane {
    inner: Inner,
    /// Seed of the choice of checked rows and channels.
    seed: u64,
    _holdings: Vec<Holding>,
}

enum Inner {
    Cpu(CpuLane),
    Gpu { system: &'static System, case: Arc<Case>, lane: Box<GpuLane> },
}

impl Lane {
    pub(crate) fn cpu(lane: CpuLane, holdings: Vec<Holding>) -> Self {
        Self { inner: Inner::Cpu(lane), seed: 0, _holdings: holdings }
    }

    pub(crate) fn gpu(
        system: &'static System,
        case: Arc<Case>,
        lane: GpuLane,
        holdings: Vec<Holding>,
    ) -> Self {
        let inner = Inner::Gpu { system, case, lane: Box::new(lane) };
        Self { inner, seed: 0, _holdings: holdings }
    }

    /// The lane with the race's seed, which determines the checked parts of its output.
    pub(crate) fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// The lane's case.
    pub fn case(&self) -> &Arc<Case> {
        match &self.inner {
            Inner::Cpu(lane) => lane.case(),
            Inner::Gpu { case, .. } => case,
        }
    }

    /// Peak of the bytes held: host memory on the CPU, device memory on the GPU.
    pub fn peak_bytes(&self) -> u64 {
        match &self.inner {
            Inner::Cpu(lane) => lane.peak_bytes(),
            Inner::Gpu { lane, .. } => lane.device_bytes(),
        }
    }

    /// The system's name and the operations per second that it reached on the GPU.
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

    /// Fills the output with NaN; returns when that is done.
    pub(crate) async fn spoil(&mut self) -> Result<(), LaneError> {
        match &mut self.inner {
            Inner::Cpu(lane) => {
                lane.spoil();
                Ok(())
            }
            Inner::Gpu { lane, .. } => lane.spoil().await,
        }
    }

    /// The last run's output, row-major.
    pub(crate) async fn output(&self) -> Result<Vec<f32>, LaneError> {
        match &self.inner {
            Inner::Cpu(lane) => Ok(lane.output().to_vec()),
            Inner::Gpu { lane, .. } => lane.output().await,
        }
    }

    /// Compares parts of the last output with the f64 reference, and checks that the whole output is finite.
    pub(crate) async fn spot_check(&self) -> Result<Spotted, LaneError> {
        let draw = SpotDraw { seed: self.seed, max_flops: SPOT_CHECK_FLOPS, first_row: 0 };
        match &self.inner {
            Inner::Cpu(lane) => lane.spot_check(draw),
            Inner::Gpu { system, case, lane } => {
                let (system, case) = (*system, Arc::clone(case));
                let check = unless_cancelled(lane.cancel_switch(), move || spot_check(system, &case, draw))??;
                let mut spotting = Spotting::new(&check);
                lane.read(|offset, piece| spotting.visit(offset, piece)).await?;
                let deviation = spotting.finish(system)?;
                Ok(Spotted { deviation, check })
            }
        }
    }
}
