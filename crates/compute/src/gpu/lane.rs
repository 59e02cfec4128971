//! A plan made ready on a device: buffers allocated and filled, shaders compiled, set-up dispatches done.

use mixer::{BufferId, Dispatch, Finished, Init, LaneError, Plan};

use super::device::Gpu;
use super::pacing::{Pacer, cut};
use super::pipeline::pipeline;
use super::signal::signal;
use super::submit::{Queries, Ticket};
use super::timestamps;
use crate::cancel::CancelSwitch;

/// Most bytes written or read in one piece, so that staging memory stays small beside the lane's.
const PIECE_BYTES: u64 = 16 << 20;

/// Words read back from each of the output's beginning, middle and end after every run.
const PROBE_WORDS: usize = 1024;

/// Submissions that may wait in the queue: enough to keep the device busy, few enough to cancel quickly.
const MAX_IN_FLIGHT: usize = 2;

/// What the output holds before anything is written to it: a NaN that arithmetic does not make.
const SENTINEL: u32 = 0x7fc0_5e17;

/// Smallest buffer: a binding may not be empty, and must hold the largest WGSL scalar or vector.
const LEAST_BYTES: u64 = 16;

struct Step {
    pipeline: wgpu::ComputePipeline,
    bind_group: wgpu::BindGroup,
    workgroups: [u32; 3],
    flops: u64,
}

/// A plan ready to run. Dropping it frees its buffers at once, not when a garbage collector finds them.
pub struct GpuLane {
    gpu: Gpu,
    steps: Vec<Step>,
    output: wgpu::Buffer,
    output_words: usize,
    /// Offsets and lengths, in words, of what is read back after a run.
    probes: Vec<(usize, usize)>,
    staging: wgpu::Buffer,
    queries: Option<Queries>,
    buffers: Vec<wgpu::Buffer>,
    device_bytes: u64,
    pacer: Pacer,
    cancel: CancelSwitch,
}

impl Drop for GpuLane {
    fn drop(&mut self) {
        self.buffers.iter().for_each(wgpu::Buffer::destroy);
    }
}

impl GpuLane {
    /// Checks the plan against the device, compiles, allocates, uploads, and runs the set-up dispatches. The output
    /// starts as NaN, so that a plan that does not write all of it is found out.
    ///
    /// # Errors
    /// What [`Plan::check`] refuses, [`mixer::MixerError::OutOfMemory`] where the device does, [`LaneError::Device`]
    /// for a shader that does not compile or a plan that is malformed, [`LaneError::DeviceLost`],
    /// [`LaneError::Cancelled`].
    pub async fn new(gpu: &Gpu, plan: Plan, cancel: &CancelSwitch) -> Result<Self, LaneError> {
        gpu.alive()?;
        plan.check(gpu.target())?;
        let output_id = well_formed(&plan)?;
        let mut pipelines = Vec::new();
        for dispatch in plan.setup.iter().chain(&plan.run) {
            if cancel.is_cancelled() {
                return Err(LaneError::Cancelled);
            }
            pipelines.push(pipeline(gpu, dispatch).await?);
        }
        let mut lane = Self::allocate(gpu, &plan, output_id, cancel).await?;
        let scopes = gpu.scopes("an upload", 0);
        let uniforms = lane.upload(&plan, output_id);
        let mut steps: Vec<Step> = plan
            .setup
            .iter()
            .chain(&plan.run)
            .zip(pipelines)
            .zip(uniforms)
            .map(|((dispatch, compiled), (offset, size))| Step {
                bind_group: lane.bind(dispatch, &compiled.layout, offset, size),
                pipeline: compiled.pipeline,
                workgroups: dispatch.workgroups,
                flops: dispatch.flops,
            })
            .collect();
        lane.steps = steps.split_off(plan.setup.len());
        drop(plan);
        scopes.close().await?;
        let setup = steps;
        lane.execute(&setup, setup.len(), false).await?;
        Ok(lane)
    }

    /// Allocates every buffer under error scopes, which are asked before anything counts. The last buffer is the
    /// uniform one.
    async fn allocate(
        gpu: &Gpu,
        plan: &Plan,
        output_id: BufferId,
        cancel: &CancelSwitch,
    ) -> Result<Self, LaneError> {
        let output_words = plan.buffers[output_id.0].words;
        let probes = probes(output_words);
        let probe_bytes = probes.iter().map(|(_, words)| 4 * *words as u64).sum::<u64>();
        let uniform_bytes =
            plan.setup.iter().chain(&plan.run).map(|dispatch| slot(gpu, dispatch)).sum::<u64>();
        let (queries, query_bytes) = (gpu.facts().timestamps, Queries::BYTES);
        let device_bytes =
            plan.bytes() + uniform_bytes + probe_bytes + if queries { 2 * query_bytes } else { 0 };

        let scopes = gpu.scopes("an allocation", device_bytes);
        let usage = wgpu::BufferUsages::STORAGE | wgpu::BufferUsages::COPY_SRC | wgpu::BufferUsages::COPY_DST;
        let mut buffers: Vec<wgpu::Buffer> =
            plan.buffers.iter().map(|spec| buffer(gpu, spec.label, 4 * spec.words as u64, usage)).collect();
        let output = buffers[output_id.0].clone();
        let queries = queries.then(|| Queries::new(gpu));
        let staging = buffer(
            gpu,
            "staging",
            probe_bytes.next_multiple_of(8) + if queries.is_some() { query_bytes } else { 0 },
            wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
        );
        if let Some(queries) = &queries {
            buffers.push(queries.resolved.clone());
        }
        buffers.push(staging.clone());
        buffers.push(buffer(
            gpu,
            "uniforms",
            uniform_bytes,
            wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        ));
        // Made before the scopes are asked, so that its drop frees what was granted.
        let lane = Self {
            gpu: gpu.clone(),
            steps: Vec::new(),
            output,
            output_words,
            probes,
            staging,
            queries,
            buffers,
            device_bytes,
            pacer: Pacer::new(),
            cancel: cancel.clone(),
        };
        scopes.close().await?;
        gpu.granted(device_bytes);
        Ok(lane)
    }

    /// Writes initial contents and uniform blocks; returns each dispatch's offset and size in the uniform buffer.
    fn upload(&self, plan: &Plan, output_id: BufferId) -> Vec<(u64, u64)> {
        for (index, (spec, buffer)) in plan.buffers.iter().zip(&self.buffers).enumerate() {
            match &spec.init {
                Init::F32(data) => self.write(buffer, bytemuck::cast_slice(data)),
                Init::U32(data) => self.write(buffer, bytemuck::cast_slice(data)),
                // WebGPU zeroes new buffers.
                Init::Zero if index == output_id.0 => self.poison_output(),
                Init::Zero => {}
            }
        }
        let mut blocks = Vec::new();
        let mut placed = Vec::new();
        for dispatch in plan.setup.iter().chain(&plan.run) {
            let offset = blocks.len();
            blocks.extend_from_slice(bytemuck::cast_slice(&dispatch.uniforms));
            placed.push((offset as u64, block_bytes(dispatch)));
            blocks.resize(offset + slot(&self.gpu, dispatch) as usize, 0);
        }
        if let Some(uniforms) = self.buffers.last() {
            self.write(uniforms, &blocks);
        }
        placed
    }

    fn write(&self, buffer: &wgpu::Buffer, bytes: &[u8]) {
        for (piece, data) in bytes.chunks(PIECE_BYTES as usize).enumerate() {
            self.gpu.queue().write_buffer(buffer, piece as u64 * PIECE_BYTES, data);
        }
    }

    /// Fills the output with NaN, so that what a run does not write is seen.
    pub fn poison_output(&self) {
        let total = 4 * self.output_words as u64;
        let words = vec![SENTINEL; (total.min(PIECE_BYTES) / 4) as usize];
        let bytes: &[u8] = bytemuck::cast_slice(&words);
        let mut offset = 0;
        while offset < total {
            let len = PIECE_BYTES.min(total - offset);
            self.gpu.queue().write_buffer(&self.output, offset, &bytes[..len as usize]);
            offset += len;
        }
    }

    fn bind(
        &self,
        dispatch: &Dispatch,
        layout: &wgpu::BindGroupLayout,
        offset: u64,
        size: u64,
    ) -> wgpu::BindGroup {
        let uniforms = self.buffers.last().unwrap_or(&self.output);
        let block = wgpu::BufferBinding { buffer: uniforms, offset, size: std::num::NonZero::new(size) };
        let mut entries =
            vec![wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(block) }];
        for (index, id) in dispatch.bindings.iter().enumerate() {
            let resource = self.buffers[id.0].as_entire_binding();
            entries.push(wgpu::BindGroupEntry { binding: 1 + index as u32, resource });
        }
        self.gpu.device().create_bind_group(&wgpu::BindGroupDescriptor {
            label: Some(dispatch.shader.label),
            layout,
            entries: &entries,
        })
    }

    /// Runs the forward pass `repeats` times and returns when the device has finished and a part of the output was
    /// read back. The checksum is the sum of that part: the output's beginning, middle and end.
    ///
    /// # Errors
    /// [`LaneError::NotFinite`] where that part holds a NaN or an infinity, [`LaneError::Device`] where the device
    /// refused a command, [`LaneError::DeviceLost`], [`LaneError::Cancelled`].
    pub async fn run(&mut self, repeats: u32) -> Result<Finished, LaneError> {
        let steps = std::mem::take(&mut self.steps);
        let n = steps.len() * repeats as usize;
        let outcome = self.execute(&steps, n, true).await;
        self.steps = steps;
        outcome
    }

    /// Runs the first `n` of `steps`, repeated without end, and reads the probes back where `probe` is set.
    async fn execute(&mut self, steps: &[Step], n: usize, probe: bool) -> Result<Finished, LaneError> {
        self.gpu.alive()?;
        let gpu = self.gpu.clone();
        let started = gpu.host().now_ns();
        let scopes = gpu.scopes("a pass", 0);
        let mut in_flight = std::collections::VecDeque::new();
        let (mut start, mut total_flops, mut passes) = (0, 0, 0);
        // The operations of the last submission and when it was made.
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
        // An error in a pass explains a failed read-back, so it comes first.
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
            for (index, &value) in words.iter().skip(at).take(len).enumerate() {
                if !value.is_finite() {
                    return Err(LaneError::NotFinite { index: offset + index, value });
                }
                checksum += f64::from(value);
            }
            at += len;
        }
        let device_ns = self.queries.as_ref().and_then(|_| {
            let stamps = Queries::stamps(bytes.get((4 * at).next_multiple_of(8)..)?, passes)?;
            timestamps::device_ns(&stamps, f64::from(self.gpu.queue().get_timestamp_period()), wall_ns)
        });
        Ok(Finished { checksum, device_ns })
    }

    /// Maps a buffer, copies what it holds, and unmaps it.
    async fn map(&self, buffer: &wgpu::Buffer, what: &'static str) -> Result<Vec<u8>, LaneError> {
        let (setter, mapped) = signal();
        buffer.map_async(wgpu::MapMode::Read, .., move |result| setter.set(result.is_ok()));
        let refused = |message: String| LaneError::Device { what: what.to_owned(), message };
        if !self.gpu.wait(what, &mapped).await? {
            return Err(self.gpu.blame(refused("the buffer could not be mapped".to_owned())).await);
        }
        let bytes =
            buffer.get_mapped_range(..).map(|view| view.to_vec()).map_err(|error| refused(error.to_string()));
        buffer.unmap();
        match bytes {
            Ok(bytes) if bytes.len() as u64 == buffer.size() => Ok(bytes),
            Ok(bytes) => Err(refused(format!("{} bytes came back, not {}", bytes.len(), buffer.size()))),
            Err(error) => Err(self.gpu.blame(error).await),
        }
    }

    /// Reads the whole output back, a piece at a time: `visit(offset, piece)`.
    ///
    /// # Errors
    /// [`mixer::MixerError::OutOfMemory`] for the staging buffer, [`LaneError::Device`], [`LaneError::DeviceLost`].
    pub async fn read(&self, mut visit: impl FnMut(usize, &[f32])) -> Result<(), LaneError> {
        self.gpu.alive()?;
        let total = 4 * self.output_words as u64;
        let mut offset = 0;
        while offset < total {
            let len = PIECE_BYTES.min(total - offset);
            let scopes = self.gpu.scopes("a read-back", self.device_bytes + len);
            let staging = buffer(
                &self.gpu,
                "read-back",
                len,
                wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST,
            );
            let mut encoder =
                self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
            encoder.copy_buffer_to_buffer(&self.output, offset, &staging, 0, len);
            self.gpu.queue().submit([encoder.finish()]);
            let scopes = scopes.close();
            let bytes = self.map(&staging, "a read-back").await;
            let caught = scopes.await;
            staging.destroy();
            caught?;
            let piece: Vec<f32> = bytemuck::pod_collect_to_vec(&bytes?);
            let words = (len / 4) as usize;
            visit((offset / 4) as usize, piece.get(..words).unwrap_or(&piece));
            offset += len;
        }
        Ok(())
    }

    /// The whole output.
    ///
    /// # Errors
    /// As for [`GpuLane::read`].
    pub async fn output(&self) -> Result<Vec<f32>, LaneError> {
        let mut output = Vec::with_capacity(self.output_words);
        self.read(|_, piece| output.extend_from_slice(piece)).await?;
        Ok(output)
    }

    /// Words of the output.
    pub fn output_words(&self) -> usize {
        self.output_words
    }

    /// Bytes of device memory that the lane holds: all that it ever holds, since everything is allocated at once.
    pub fn device_bytes(&self) -> u64 {
        self.device_bytes
    }
}

/// A plan whose parts fit together; returns its output.
fn well_formed(plan: &Plan) -> Result<BufferId, LaneError> {
    let malformed = |message: String| LaneError::Device { what: "the plan".to_owned(), message };
    let known = |id: &BufferId| id.0 < plan.buffers.len();
    for dispatch in plan.setup.iter().chain(&plan.run) {
        let (given, wanted) = (dispatch.bindings.len(), dispatch.shader.bindings.len());
        if given != wanted {
            let label = dispatch.shader.label;
            return Err(malformed(format!("`{label}` binds {given} buffers, its shader declares {wanted}")));
        }
        if !dispatch.bindings.iter().all(known) {
            return Err(malformed(format!(
                "`{}` binds a buffer that is not in the plan",
                dispatch.shader.label
            )));
        }
    }
    for spec in &plan.buffers {
        let given = match &spec.init {
            Init::Zero => spec.words,
            Init::F32(data) => data.len(),
            Init::U32(data) => data.len(),
        };
        if given > spec.words {
            return Err(malformed(format!("buffer `{}` has {} words, not {given}", spec.label, spec.words)));
        }
    }
    plan.output.filter(known).ok_or_else(|| malformed("it has no output".to_owned()))
}

fn buffer(gpu: &Gpu, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
    let size = bytes.max(LEAST_BYTES);
    gpu.device().create_buffer(&wgpu::BufferDescriptor {
        label: Some(label),
        size,
        usage,
        mapped_at_creation: false,
    })
}

/// Bytes of a dispatch's uniform block: at least 16, in multiples of 16.
fn block_bytes(dispatch: &Dispatch) -> u64 {
    (4 * dispatch.uniforms.len() as u64).next_multiple_of(16).max(16)
}

/// Bytes that a block takes in the uniform buffer.
fn slot(gpu: &Gpu, dispatch: &Dispatch) -> u64 {
    block_bytes(dispatch).next_multiple_of(gpu.uniform_alignment())
}

/// The beginning, middle and end of an output, or all of it where it is small.
fn probes(words: usize) -> Vec<(usize, usize)> {
    if words <= 3 * PROBE_WORDS {
        return vec![(0, words)];
    }
    [0, (words - PROBE_WORDS) / 2, words - PROBE_WORDS].map(|offset| (offset, PROBE_WORDS)).to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probes_cover_small_outputs_and_the_ends_of_large_ones() {
        assert_eq!(probes(0), [(0, 0)]);
        assert_eq!(probes(3072), [(0, 3072)]);
        assert_eq!(probes(10_000), [(0, 1024), (4488, 1024), (8976, 1024)]);
    }
}
