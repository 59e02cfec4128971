//! Records a [`Plan`].

use mixer::{BufferId, Choice, Count, Dispatch, GpuTarget, MixerError, Plan, Shader};

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
    /// The first upload that memory had no room for; the plan is then refused as a whole.
    refused: Option<MixerError>,
}

impl Builder {
    /// An empty plan for `target`.
    pub fn new(target: &GpuTarget) -> Self {
        Self { plan: Plan::default(), target: *target, setup: false, refused: None }
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
        4 * Count::from(words) <= Count::new(self.max_binding_bytes())
    }

    /// A zeroed stream of `rows` rows.
    pub fn stream(&mut self, label: &'static str, rows: usize, columns: Columns) -> Stream {
        let stride = columns.stride();
        Stream { buffer: self.plan.scratch(label, rows.saturating_mul(stride)), offset: 0, stride }
    }

    /// Uploads `rows`, `[rows, columns.len()]`, padded.
    pub fn upload(&mut self, label: &'static str, rows: &[f32], columns: Columns) -> Stream {
        let padded = columns.pad(rows);
        let padded = self.granted(padded).unwrap_or_default();
        self.upload_padded(label, padded, columns.stride())
    }

    /// Zeros to be filled and uploaded; nothing where memory has no room for them, and [`Builder::finish`] says so.
    pub fn zeros(&mut self, len: impl Into<Count>) -> Option<Vec<f32>> {
        self.granted(mixer::zeros(len))
    }

    /// What was allocated; keeps the reason where it was not.
    fn granted<T>(&mut self, data: Result<T, MixerError>) -> Option<T> {
        data.map_err(|error| self.refused.get_or_insert(error)).ok()
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
    /// As for [`Plan::check`], and [`MixerError::OutOfMemory`] where an upload had no room.
    pub fn finish(mut self, output: BufferId) -> Result<Plan, MixerError> {
        if let Some(refused) = self.refused {
            return Err(refused);
        }
        self.plan.output = Some(output);
        self.plan.check(&self.target)?;
        Ok(self.plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upload_without_room_refuses_the_plan() {
        let mut builder = Builder::new(&GpuTarget::WEBGPU_DEFAULTS);
        assert!(builder.zeros(4_usize).is_some());
        assert!(builder.zeros(Count::from(1 << 30) * (1 << 30)).is_none());
        let output = builder.scratch("output", 4);
        assert!(
            matches!(builder.finish(output), Err(MixerError::OutOfMemory { needed_bytes, .. }) if needed_bytes == 1 << 62)
        );
    }
}
