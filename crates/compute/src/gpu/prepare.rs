//! Preparation of a plan: buffers, uniform blocks, bind groups.

use mixer::{BufferId, Dispatch, Init, LaneError, Plan};

use super::device::Gpu;
use super::lane::{GpuLane, Step};
use super::pacing::Pacer;
use super::pipeline::pipelines;
use super::queries::Queries;
use super::readback::PIECE_BYTES;
use super::submit::Ticket;
use crate::cancel::CancelSwitch;
use crate::output::probes;

/// Initial value of the output: a NaN whose bits do not result from arithmetic.
const SENTINEL: u32 = 0x7fc0_5e17;

/// Smallest buffer in bytes: a binding must not be empty, and must be able to hold the largest WGSL scalar or vector.
const LEAST_BYTES: u64 = 16;

/// Largest buffer of NaNs for filling the output, in bytes.
const MOST_SENTINEL_BYTES: u64 = 1 << 18;

impl GpuLane {
    /// Checks the plan against the device, compiles, allocates, uploads, and runs the set-up dispatches. An output
    /// without initial contents starts as NaN, so that a plan that does not write all of it is detected.
    ///
    /// # Errors
    /// Errors of [`Plan::check`], [`mixer::MixerError::OutOfMemory`] where the device lacks memory,
    /// [`LaneError::Device`] for a shader that does not compile or a malformed plan, [`LaneError::DeviceLost`],
    /// [`LaneError::Cancelled`].
    pub async fn new(gpu: &Gpu, plan: Plan, cancel: &CancelSwitch) -> Result<Self, LaneError> {
        gpu.alive()?;
        plan.check(gpu.target())?;
        let output_id = well_formed(&plan)?;
        let pipelines = pipelines(gpu, plan.setup.iter().chain(&plan.run), cancel).await?;
        let mut lane = Self::allocate(gpu, &plan, output_id, cancel).await?;
        let scopes = gpu.scopes("an upload", 0);
        let uniforms = lane.upload(&plan);
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
        let starts_empty = matches!(plan.buffers[output_id.0].init, Init::Zero);
        drop(plan);
        scopes.close().await?;
        if starts_empty {
            lane.spoil().await?;
        }
        let setup = steps;
        lane.execute(&setup, setup.len(), false).await?;
        Ok(lane)
    }

    /// Allocates every buffer within error scopes and awaits their result. The last buffer is the uniform buffer.
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
        let sentinel_bytes = (4 * output_words as u64).clamp(LEAST_BYTES, MOST_SENTINEL_BYTES);
        let device_bytes = plan.bytes()
            + uniform_bytes
            + probe_bytes
            + sentinel_bytes
            + if queries { 2 * query_bytes } else { 0 };

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
        let sentinel = buffer(gpu, "sentinel", sentinel_bytes, usage);
        buffers.push(sentinel.clone());
        buffers.push(buffer(
            gpu,
            "uniforms",
            uniform_bytes,
            wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST,
        ));
        // Constructed before the scopes are awaited, so that an error drops and frees the granted buffers.
        let lane = Self {
            gpu: gpu.clone(),
            steps: Vec::new(),
            output,
            output_words,
            most_probed: probes.iter().map(|(_, words)| words).sum(),
            probes,
            staging,
            sentinel,
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

    /// Writes initial contents and uniform blocks. Returns each dispatch's offset and size in the uniform buffer.
    fn upload(&self, plan: &Plan) -> Vec<(u64, u64)> {
        let sentinel = vec![SENTINEL; (self.sentinel.size() / 4) as usize];
        self.write(&self.sentinel, bytemuck::cast_slice(&sentinel));
        for (spec, buffer) in plan.buffers.iter().zip(&self.buffers) {
            match &spec.init {
                Init::F32(data) => self.write(buffer, bytemuck::cast_slice(data)),
                Init::U32(data) => self.write(buffer, bytemuck::cast_slice(data)),
                // WebGPU zeroes new buffers.
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

    /// Fills the output with NaN, so that values that a run does not write are detected. Returns when the device has
    /// done it.
    ///
    /// # Errors
    /// [`LaneError::Device`], [`LaneError::DeviceLost`].
    pub async fn spoil(&self) -> Result<(), LaneError> {
        self.spoil_from(0).await
    }

    /// [`GpuLane::spoil`] from a word of the output on.
    pub(crate) async fn spoil_from(&self, first: usize) -> Result<(), LaneError> {
        self.gpu.alive()?;
        let scopes = self.gpu.scopes("a fill", 0);
        let mut encoder =
            self.gpu.device().create_command_encoder(&wgpu::CommandEncoderDescriptor::default());
        let (total, piece) = (4 * self.output_words as u64, self.sentinel.size());
        for offset in (4 * first as u64..total).step_by(piece as usize) {
            let len = piece.min(total - offset);
            encoder.copy_buffer_to_buffer(&self.sentinel, 0, &self.output, offset, len);
        }
        let index = self.gpu.queue().submit([encoder.finish()]);
        let ticket = Ticket::new(&self.gpu, index);
        let caught = scopes.close();
        ticket.finished(&self.gpu).await?;
        caught.await
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
}

/// Checks that the plan's parts fit together and returns its output.
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

pub(super) fn buffer(gpu: &Gpu, label: &str, bytes: u64, usage: wgpu::BufferUsages) -> wgpu::Buffer {
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

/// Bytes of a dispatch's aligned slot in the uniform buffer.
fn slot(gpu: &Gpu, dispatch: &Dispatch) -> u64 {
    block_bytes(dispatch).next_multiple_of(gpu.uniform_alignment())
}
