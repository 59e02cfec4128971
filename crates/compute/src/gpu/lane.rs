//! A plan prepared on a device: buffers allocated and filled, shaders compiled, set-up dispatches done.

use std::ops::Range;

use mixer::{Finished, LaneError};

use super::device::Gpu;
use super::pacing::{Pacer, cut};
use super::queries::Queries;
use super::submit::Ticket;
use super::timestamps;
use crate::cancel::CancelSwitch;
use crate::output::finite_sum;

/// Most submissions in the queue: enough to keep the device busy, few enough to cancel quickly.
const MAX_IN_FLIGHT: usize = 2;

pub(super) struct Step {
    pub(super) pipeline: wgpu::ComputePipeline,
    pub(super) bind_group: wgpu::BindGroup,
    pub(super) workgroups: [u32; 3],
    pub(super) flops: u64,
}

/// A prepared plan. Dropping it frees its buffers immediately, without waiting for a garbage collector.
pub struct GpuLane {
    pub(super) gpu: Gpu,
    pub(super) steps: Vec<Step>,
    pub(super) output: wgpu::Buffer,
    pub(super) output_words: usize,
    /// Offsets and lengths, in words, of the parts that are read back after a run.
    pub(super) probes: Vec<(usize, usize)>,
    /// Words of the staging buffer for them.
    pub(super) most_probed: usize,
    pub(super) staging: wgpu::Buffer,
    /// A buffer of NaNs for filling the output.
    pub(super) sentinel: wgpu::Buffer,
    pub(super) queries: Option<Queries>,
    pub(super) buffers: Vec<wgpu::Buffer>,
    pub(super) device_bytes: u64,
    pub(super) pacer: Pacer,
    pub(super) cancel: CancelSwitch,
}

impl Drop for GpuLane {
    fn drop(&mut self) {
        self.buffers.iter().for_each(wgpu::Buffer::destroy);
    }
}

impl GpuLane {
    /// Runs the forward pass `repeats` times. Returns when the device has finished and a part of the output was read
    /// back. The checksum is the sum of that part: the output's beginning, middle and end.
    ///
    /// # Errors
    /// [`LaneError::NotFinite`] where that part contains a NaN or an infinity, [`LaneError::Device`] where the device
    /// refused a command, [`LaneError::DeviceLost`], [`LaneError::Cancelled`].
    pub async fn run(&mut self, repeats: u32) -> Result<Finished, LaneError> {
        let steps = std::mem::take(&mut self.steps);
        let n = steps.len() * repeats as usize;
        let outcome = self.execute(&steps, n, true).await;
        self.steps = steps;
        outcome
    }

    /// Runs a section of the plan's dispatches `repeats` times, and reads the probes back where `probe` is set; returns when
    /// the device has finished.
    pub(crate) async fn run_steps(
        &mut self,
        section: Range<usize>,
        repeats: usize,
        probe: bool,
    ) -> Result<Finished, LaneError> {
        let steps = std::mem::take(&mut self.steps);
        let outcome = match steps.get(section) {
            Some(section) if !section.is_empty() => {
                self.execute(section, section.len() * repeats, probe).await
            }
            _ => Ok(Finished::default()),
        };
        self.steps = steps;
        outcome
    }

    /// Reads `words` words of the output from `offset` on after the next run, as many as fit the staging buffer.
    pub(crate) fn probe_at(&mut self, offset: usize, words: usize) {
        self.probes = vec![(offset, words.min(self.probed_words()))];
    }

    /// Most words that are read back after a run.
    pub(crate) fn probed_words(&self) -> usize {
        self.most_probed
    }

    /// Runs the first `n` of `steps`, repeated cyclically, and reads the probes back where `probe` is set.
    pub(super) async fn execute(
        &mut self,
        steps: &[Step],
        n: usize,
        probe: bool,
    ) -> Result<Finished, LaneError> {
        self.gpu.alive()?;
        let gpu = self.gpu.clone();
        let started = gpu.host().now_ns();
        let scopes = gpu.scopes("a pass", 0);
        let mut in_flight = std::collections::VecDeque::new();
        let (mut start, mut total_flops, mut passes) = (0, 0, 0);
        // The operations of the last submission and its start.
        let (last_flops, last_submitted) = loop {
            if self.cancel.is_cancelled() {
                return Err(LaneError::Cancelled);
            }
            let (end, flops) =
                cut(start, n, |index| steps[index % steps.len()].flops, self.pacer.cap_flops());
            let last = end == n;
            let mut encoder = gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            {
                let timestamp_writes = self.queries.as_ref().and_then(|queries| queries.writes(passes));
                let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                let mut pass = encoder.begin_compute_pass(&descriptor);
                for index in start..end {
                    let step = &steps[index % steps.len()];
                    pass.set_pipeline(&step.pipeline);
                    pass.set_bind_group(0, &step.bind_group, &[]);
                    let [x, y, z] = step.workgroups;
                    pass.dispatch_workgroups(x, y, z);
                }
            }
            passes += 1;
            total_flops += flops;
            if last && probe {
                self.encode_probes(&mut encoder, passes);
            }
            let submitted = gpu.host().now_ns();
            let index = gpu.queue().submit([encoder.finish()]);
            let ticket = Ticket::new(&gpu, index);
            if last && probe {
                break (flops, submitted);
            }
            if last || !self.pacer.settled() {
                ticket.finished(&gpu).await?;
                self.pacer.observe(flops, gpu.host().now_ns() - submitted);
            } else {
                in_flight.push_back(ticket);
                if in_flight.len() > MAX_IN_FLIGHT
                    && let Some(oldest) = in_flight.pop_front()
                {
                    oldest.finished(&gpu).await?;
                }
            }
            if last {
                break (flops, submitted);
            }
            start = end;
        };
        let scopes = scopes.close();
        if !probe {
            scopes.await?;
            return Ok(Finished::default());
        }
        let bytes = self.map(&self.staging, "a read-back").await;
        let now = gpu.host().now_ns();
        // An error in a pass explains a failed read-back, so it is reported first.
        scopes.await?;
        if self.pacer.settled() {
            self.pacer.observe(total_flops, now - started);
        } else {
            self.pacer.observe(last_flops, now - last_submitted);
        }
        self.finish(&bytes?, passes, now - started)
    }

    fn encode_probes(&self, encoder: &mut wgpu::CommandEncoder, passes: usize) {
        let mut at = 0;
        for &(offset, words) in &self.probes {
            let bytes = 4 * words as u64;
            encoder.copy_buffer_to_buffer(&self.output, 4 * offset as u64, &self.staging, at, bytes);
            at += bytes;
        }
        if let Some(queries) = &self.queries {
            queries.resolve(encoder, passes, &self.staging, at.next_multiple_of(8));
        }
    }

    fn finish(&self, bytes: &[u8], passes: usize, wall_ns: f64) -> Result<Finished, LaneError> {
        let words: Vec<f32> = bytemuck::pod_collect_to_vec(bytes);
        let mut checksum = 0.0;
        let mut at = 0;
        for &(offset, len) in &self.probes {
            checksum += finite_sum(words.get(at..at + len).unwrap_or_default(), offset)?;
            at += len;
        }
        let device_ns = self.queries.as_ref().and_then(|_| {
            let stamps = Queries::stamps(bytes.get((4 * at).next_multiple_of(8)..)?, passes)?;
            timestamps::device_ns(&stamps, f64::from(self.gpu.queue().get_timestamp_period()), wall_ns)
        });
        Ok(Finished { checksum, device_ns })
    }

    /// Operations per second of the fastest submission so far, by the plan's counts; `None` before a submission was
    /// long enough to measure.
    pub fn flops_per_s(&self) -> Option<f64> {
        self.pacer.flops_per_ns().map(|rate| 1e9 * rate)
    }

    /// The switch that cancels its work.
    pub(crate) fn cancel_switch(&self) -> &CancelSwitch {
        &self.cancel
    }

    /// Words of the output.
    pub fn output_words(&self) -> usize {
        self.output_words
    }

    /// Bytes of device memory that the lane holds. Constant, since everything is allocated at once.
    pub fn device_bytes(&self) -> u64 {
        self.device_bytes
    }
}
