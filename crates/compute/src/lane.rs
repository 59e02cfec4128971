//! A lane on either backend: a prepared case.

use std::sync::Arc;

use mixer::{Case, Finished, LaneError, SpotDraw, System};

use crate::abandon::unless_cancelled;
use crate::cpu::CpuLane;
use crate::decode::{CpuDecodeLane, GpuDecodeLane};
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
    Decode(Box<CpuDecodeLane>),
    GpuDecode(Box<GpuDecodeLane>),
    Gpu { system: &'static System, case: Arc<Case>, lane: Box<GpuLane> },
}

impl Lane {
    pub(crate) fn cpu(lane: CpuLane, holdings: Vec<Holding>) -> Self {
        Self { inner: Inner::Cpu(lane), seed: 0, _holdings: holdings }
    }

    pub(crate) fn decode(lane: CpuDecodeLane, holdings: Vec<Holding>) -> Self {
        Self { inner: Inner::Decode(Box::new(lane)), seed: 0, _holdings: holdings }
    }

    pub(crate) fn gpu_decode(lane: GpuDecodeLane, holdings: Vec<Holding>) -> Self {
        Self { inner: Inner::GpuDecode(Box::new(lane)), seed: 0, _holdings: holdings }
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
            Inner::Decode(lane) => lane.case(),
            Inner::GpuDecode(lane) => lane.case(),
            Inner::Gpu { case, .. } => case,
        }
    }

    /// Peak of the bytes held: host memory on the CPU, device memory on the GPU.
    pub fn peak_bytes(&self) -> u64 {
        match &self.inner {
            Inner::Cpu(lane) => lane.peak_bytes(),
            Inner::Decode(lane) => lane.peak_bytes(),
            Inner::GpuDecode(lane) => lane.device_bytes(),
            Inner::Gpu { lane, .. } => lane.device_bytes(),
        }
    }

    /// The system's name and the operations per second that it reached on the GPU.
    pub(crate) fn gpu_rate(&self) -> Option<(&'static str, f64)> {
        match &self.inner {
            Inner::Cpu(_) | Inner::Decode(_) | Inner::GpuDecode(_) => None,
            Inner::Gpu { system, lane, .. } => Some((system.info().id, lane.flops_per_s()?)),
        }
    }

    /// Bytes of a decoding lane's state; `None` for a forward pass.
    pub(crate) fn state_bytes(&self) -> Option<u64> {
        match &self.inner {
            Inner::Decode(lane) => Some(lane.state_bytes()),
            Inner::GpuDecode(lane) => Some(lane.state_bytes()),
            Inner::Cpu(_) | Inner::Gpu { .. } => None,
        }
    }

    /// Empties a decoding lane's state and fills it with the context again, with all answers.
    pub(crate) async fn prefill(&mut self) -> Result<(), LaneError> {
        match &mut self.inner {
            Inner::Decode(lane) => lane.prefill(),
            Inner::GpuDecode(lane) => lane.prefill().await,
            Inner::Cpu(_) | Inner::Gpu { .. } => Ok(()),
        }
    }

    /// All answers of a decoding lane, `[batch, length, width]`, with the case of all its tokens; `None` for a forward pass.
    pub(crate) async fn every_answer(&mut self) -> Result<Option<(Vec<f32>, Case)>, LaneError> {
        match &mut self.inner {
            Inner::Decode(lane) => lane.whole().map(Some),
            Inner::GpuDecode(lane) => lane.whole().await.map(Some),
            Inner::Cpu(_) | Inner::Gpu { .. } => Ok(None),
        }
    }

    pub(crate) async fn run(&mut self, repeats: u32) -> Result<Finished, LaneError> {
        match &mut self.inner {
            Inner::Cpu(lane) => Ok(Finished { checksum: lane.run(repeats as usize)?, ..Finished::default() }),
            Inner::Decode(lane) => {
                Ok(Finished { checksum: lane.run(repeats as usize)?, ..Finished::default() })
            }
            Inner::Gpu { lane, .. } => lane.run(repeats).await,
            Inner::GpuDecode(lane) => lane.run(repeats as usize).await,
        }
    }

    /// Fills the output with NaN; returns when that is done.
    pub(crate) async fn spoil(&mut self) -> Result<(), LaneError> {
        match &mut self.inner {
            Inner::Cpu(lane) => {
                lane.spoil();
                Ok(())
            }
            Inner::Decode(lane) => {
                lane.spoil();
                Ok(())
            }
            Inner::Gpu { lane, .. } => lane.spoil().await,
            Inner::GpuDecode(lane) => lane.spoil().await,
        }
    }

    /// The last run's output, row-major.
    pub(crate) async fn output(&self) -> Result<Vec<f32>, LaneError> {
        match &self.inner {
            Inner::Cpu(lane) => Ok(lane.output().to_vec()),
            Inner::Decode(lane) => Ok(lane.answer().to_vec()),
            Inner::GpuDecode(lane) => lane.output().await,
            Inner::Gpu { lane, .. } => lane.output().await,
        }
    }

    /// Compares parts of the last output with the f64 reference, and checks that the whole output is finite.
    pub(crate) async fn spot_check(&self) -> Result<Spotted, LaneError> {
        let draw = SpotDraw { seed: self.seed, max_flops: SPOT_CHECK_FLOPS, first_row: 0 };
        match &self.inner {
            Inner::Cpu(lane) => lane.spot_check(draw),
            Inner::Decode(lane) => lane.spot_check(draw),
            Inner::GpuDecode(lane) => lane.spot_check(draw),
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
