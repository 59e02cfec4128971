//! Builds a [`Plan`].

use mixer::{BufferId, Choice, Count, Dispatch, GpuTarget, MixerError, Plan, Shader};

use super::stream::{Columns, Stream};

/// Total loop iterations of an invocation after which llvmpipe and lavapipe silently end all of its loops.
pub(crate) const SOFTWARE_TURNS: usize = 65_535;

/// Most loop iterations of an invocation in a dispatch: half of the limit of software adapters, so that outer loops
/// fit, too.
pub(crate) const INVOCATION_TURNS: usize = 1 << 15;

/// A plan under construction for a device's limits.
#[derive(Debug)]
pub struct Builder {
    plan: Plan,
    target: GpuTarget,
    setup: bool,
    /// The error of the first upload for which there was no memory. [`Builder::finish`] then refuses the plan.
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

    /// Uploads `rows`, `[rows, columns.len()]`, and pads them.
    pub fn upload(&mut self, label: &'static str, rows: &[f32], columns: Columns) -> Stream {
        let padded = columns.pad(rows);
        let padded = self.granted(padded).unwrap_or_default();
        self.upload_padded(label, padded, columns.stride())
    }

    /// A zeroed vector for an upload; `None` where memory is exhausted, which [`Builder::finish`] reports.
    pub fn zeros(&mut self, len: impl Into<Count>) -> Option<Vec<f32>> {
        self.granted(mixer::zeros(len))
    }

    /// The result of an allocation. Stores the first error.
    fn granted<T>(&mut self, data: Result<T, MixerError>) -> Option<T> {
        data.map_err(|error| self.refused.get_or_insert(error)).ok()
    }

    /// Uploads rows that already have the stride `stride`.
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

    /// Records dispatches that depend on weights alone. They run once, before the first forward pass.
    pub fn setup<T>(&mut self, record: impl FnOnce(&mut Self) -> T) -> T {
        let before = std::mem::replace(&mut self.setup, true);
        let result = record(self);
        self.setup = before;
        result
    }

    /// Number of dispatches recorded so far, without those of the set-up.
    pub fn recorded(&self) -> usize {
        self.plan.run.len()
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

    /// Records one dispatch with several variants. It uses the first one until another is chosen.
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

    /// Returns the plan with its result in `output`, after a check against the device.
    ///
    /// # Errors
    /// As for [`Plan::check`], and [`MixerError::OutOfMemory`] for a failed upload.
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
