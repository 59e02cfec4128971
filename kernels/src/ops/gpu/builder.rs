//! Records a [`Plan`].

use mixer::{BufferId, Choice, Dispatch, GpuTarget, MixerError, Plan, Shader};

use super::stream::{Columns, Stream};

/// Turns of all its loops after which llvmpipe and lavapipe end every loop of an invocation, without a word.
pub(crate) const SOFTWARE_TURNS: usize = 65_535;

/// Turns that an invocation may make in a dispatch. Half of what software adapters allow leaves room for the loops
/// around.
pub(crate) const INVOCATION_TURNS: usize = 1 << 15;

/// A plan under construction, for a device's limits.
#[derive(Debug)]
pub struct Builder {
    plan: Plan,
    target: GpuTarget,
    setup: bool,
}

impl Builder {
    /// An empty plan for `target`.
    pub fn new(target: &GpuTarget) -> Self {
        Self { plan: Plan::default(), target: *target, setup: false }
    }

    /// The device's limits.
    pub fn target(&self) -> &GpuTarget {
        &self.target
    }

    /// Largest buffer that a shader may bind, in bytes.
    pub fn max_binding_bytes(&self) -> u64 {
        self.target.max_storage_binding_bytes.min(self.target.max_buffer_bytes)
    }

    /// Whether one binding may hold `words` words.
    pub fn fits(&self, words: usize) -> bool {
        4 * words as u64 <= self.max_binding_bytes()
    }

    /// A zeroed stream of `rows` rows.
    pub fn stream(&mut self, label: &'static str, rows: usize, columns: Columns) -> Stream {
        let stride = columns.stride();
        Stream { buffer: self.plan.scratch(label, rows.saturating_mul(stride)), offset: 0, stride }
    }

    /// Uploads `rows`, `[rows, columns.len()]`, padded.
    pub fn upload(&mut self, label: &'static str, rows: &[f32], columns: Columns) -> Stream {
        self.upload_padded(label, columns.pad(rows), columns.stride())
    }

    /// Uploads rows that are already padded to `stride`.
    pub fn upload_padded(&mut self, label: &'static str, rows: Vec<f32>, stride: usize) -> Stream {
        let words = rows.len();
        Stream { buffer: self.plan.buffer(label, words, mixer::Init::F32(rows)), offset: 0, stride }
    }

    /// Uploads words.
    pub fn upload_words(&mut self, label: &'static str, words: Vec<u32>) -> BufferId {
        self.plan.buffer(label, words.len(), mixer::Init::U32(words))
    }

    /// A zeroed buffer.
    pub fn scratch(&mut self, label: &'static str, words: usize) -> BufferId {
        self.plan.scratch(label, words)
    }

    /// What `record` dispatches depends on weights alone: it runs once, before the first forward pass.
    pub fn setup<T>(&mut self, record: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.setup, true);
        let result = record(self);
        self.setup = before;
        result
    }

    /// Records one dispatch.
    pub fn dispatch(
        &mut self,
        shader: Shader,
        constants: &[(&'static str, f64)],
        uniforms: &[u32],
        bindings: &[BufferId],
        workgroups: [usize; 3],
        flops: u64,
    ) {
        debug_assert_eq!(shader.bindings.len(), bindings.len(), "{}", shader.label);
        let dispatch = Dispatch {
            shader,
            constants: constants.to_vec(),
            uniforms: uniforms.to_vec(),
            bindings: bindings.to_vec(),
            workgroups: workgroups.map(super::stream::word),
            flops,
            choice: None,
        };
        if self.setup { self.plan.setup.push(dispatch) } else { self.plan.run.push(dispatch) }
    }

    /// Records one dispatch that can be done in several ways, by the first of them until another is chosen.
    pub fn dispatch_one_of(
        &mut self,
        choice: Choice,
        uniforms: &[u32],
        bindings: &[BufferId],
        workgroups: [usize; 3],
        flops: u64,
    ) {
        let Some(first) = choice.variants.first() else { return };
        self.dispatch(first.shader, &first.constants, uniforms, bindings, workgroups, flops);
        let recorded = if self.setup { self.plan.setup.last_mut() } else { self.plan.run.last_mut() };
        if let Some(dispatch) = recorded {
            dispatch.choice = Some(choice);
        }
    }

    /// The plan, whose result is in `output`, checked against the device.
    ///
    /// # Errors
    /// As for [`Plan::check`].
    pub fn finish(mut self, output: BufferId) -> Result<Plan, MixerError> {
        self.plan.output = Some(output);
        self.plan.check(&self.target)?;
        Ok(self.plan)
    }
}
