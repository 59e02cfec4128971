//! The recurrence over the complex modes: a scan over chunks of time, and a single step.

use mixer::{Access, BufferId, Case, MixerError, Shader};

use super::super::spec::{Liquid, Spec};
use super::super::ssm::Ssm;
use crate::ops::gpu::{Builder, Columns, Stream, line_of_groups, word};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const SCAN: Shader = Shader {
    label: "scan",
    source: wgsl!(
        "ops/gpu/line.wgsl",
        "ops/gpu/complex.wgsl",
        "systems/liquid_s4/transition.wgsl",
        "systems/liquid_s4/scan.wgsl"
    ),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE, WRITE, WRITE],
};

const STEP: Shader = Shader {
    label: "step",
    source: wgsl!(
        "ops/gpu/line.wgsl",
        "ops/gpu/complex.wgsl",
        "systems/liquid_s4/transition.wgsl",
        "systems/liquid_s4/step.wgsl"
    ),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE, WRITE],
};

/// Smallest number of time steps in a chunk. Chunks of long sequences are longer, so that states stay few.
const CHUNK: usize = 64;
const MOST_CHUNKS: usize = 512;

/// Modes per thread of the scan, and threads per channel of a step.
const TOGETHER: usize = 8;

/// Invocations in a workgroup.
const THREADS: usize = 64;

/// A recurrence on the device.
pub struct Scan {
    batch: usize,
    width: usize,
    /// Modes of a channel, padded.
    modes: usize,
    liquid: bool,
    params: BufferId,
    skip: BufferId,
}

/// Time steps of every sequence, and the buffers of their scan.
#[derive(Clone, Copy)]
pub struct Steps {
    length: usize,
    chunk: usize,
    chunks: usize,
    states: BufferId,
    y: Stream,
}

impl Scan {
    pub fn upload(builder: &mut Builder, spec: &Spec, case: &Case) -> Result<Self, MixerError> {
        let (batch, width) = (spec.dims.batch, spec.dims.d_model);
        let modes = spec.modes.next_multiple_of(TOGETHER);
        let mut params = vec![0.0; width * modes * 8];
        for (channel, model) in Ssm::read(spec, &case.tensors)?.channels.iter().enumerate() {
            let to = params[channel * modes * 8..].chunks_exact_mut(8);
            for ((to, (a, b)), c) in to.zip(model.bilinear()).zip(&model.c[0]) {
                let values = [a.re, a.im, b.re, b.im, 2.0 * c.re, 2.0 * c.im];
                to.iter_mut().zip(values).for_each(|(to, value)| *to = value as f32);
            }
        }
        let params = builder.upload_padded("model", params, 8).buffer;
        let skip = builder.upload("skip", spec.skip(&case.tensors)?, Columns::plain(width)).buffer;
        Ok(Self { batch, width, modes, liquid: spec.liquid == Liquid::Recurrence, params, skip })
    }

    /// Floats of the modes of all sequences.
    pub fn state_floats(&self) -> usize {
        2 * self.batch * self.width * self.modes
    }

    pub fn steps(&self, builder: &mut Builder, length: usize) -> Steps {
        let Self { batch, width, modes, .. } = *self;
        let chunk = CHUNK.max(length.div_ceil(MOST_CHUNKS));
        let chunks = length.div_ceil(chunk);
        let states = builder.scratch("states", 4 * batch * chunks * width * modes);
        let y = builder.stream("s", batch * length, Columns::plain(width));
        Steps { length, chunk, chunks, states, y }
    }

    /// Records all steps from the zero state on; the last one leaves its modes in `state`. Returns s, which is computed
    /// only with `answers`.
    pub fn record(
        &self,
        builder: &mut Builder,
        x: Stream,
        steps: Steps,
        state: BufferId,
        answers: bool,
    ) -> Stream {
        let Self { batch, width, modes, .. } = *self;
        let Steps { length, chunk, chunks, states, y } = steps;
        let stages = [
            (0_u8, batch * chunks * width * modes / TOGETHER, 20 * chunk * TOGETHER),
            (1, batch * width * modes, 8 * chunks),
            (2, batch * chunks * width, 16 * chunk * modes),
        ];
        for (stage, items, flops) in stages.into_iter().take(if answers { 3 } else { 2 }) {
            // One dispatch, or several if one would run too long.
            let affordable = builder.target().max_dispatch_flops / flops as u64;
            let at_once =
                usize::try_from(affordable).unwrap_or(usize::MAX).clamp(THREADS, items.max(THREADS));
            for first in (0..items).step_by(at_once) {
                let end = (first + at_once).min(items);
                builder.dispatch(
                    SCAN,
                    &[("STAGE", f64::from(stage)), self.constant()],
                    &[first, end, width, modes, length, chunk, chunks, x.stride, y.stride].map(word),
                    &[x.buffer, self.params, self.skip, states, state, y.buffer],
                    line_of_groups((end - first).div_ceil(THREADS)),
                    (flops * (end - first)) as u64,
                );
            }
        }
        y
    }

    /// Records one step of every sequence from the modes in `state`, which become those after it; x and y are `[batch]`
    /// rows.
    pub fn step(&self, builder: &mut Builder, x: Stream, state: BufferId, y: Stream) {
        let items = self.batch * self.width;
        builder.dispatch(
            STEP,
            &[self.constant()],
            &[items, self.width, self.modes, x.stride, y.stride].map(word),
            &[x.buffer, self.params, self.skip, state, y.buffer],
            line_of_groups(items.div_ceil(THREADS / TOGETHER)),
            (16 * items * self.modes) as u64,
        );
    }

    fn constant(&self) -> (&'static str, f64) {
        ("LIQUID", f64::from(u8::from(self.liquid)))
    }
}
