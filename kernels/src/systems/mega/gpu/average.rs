//! The moving average: a scan over chunks of time, or an FFT convolution if it is truncated.

use mixer::{Access, BufferId, Case, Count, MixerError, Shader, room, zeros};

use super::super::ema;
use super::super::spec::EmaSpec;
use super::window::Window;
use crate::ops::gpu::{
    Builder, Clock, Columns, Filter, LongConv, Stream, copy, line_of_groups, vectors, word,
};
use crate::ops::long_conv::{circular_lag, fft_size};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const EMA: Shader = Shader {
    label: "ema",
    source: wgsl!("ops/gpu/line.wgsl", "systems/mega/ema.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE, WRITE],
};

/// Dimensions of the average per thread.
const DIMENSIONS: usize = 16;

/// Smallest number of time steps in a chunk of the scan. Chunks of long sequences are longer, so that states stay few.
const STEPS: usize = 64;
const MOST_CHUNKS: usize = 512;

/// The average on the device.
pub struct Average {
    spec: EmaSpec,
    omega: BufferId,
    method: Method,
}

enum Method {
    Scan(Vec<Pass>),
    /// Without its filter, which depends on the length.
    Convolution(Vec<ema::Dimension>),
}

/// A pass of the scan over all channels with up to [`DIMENSIONS`] dimensions of one direction.
struct Pass {
    /// `[width, (decays, gains), DIMENSIONS]`.
    params: BufferId,
    backward: bool,
}

/// Steps of every sequence, and the buffers of their average.
pub struct Steps {
    length: usize,
    /// Steps of a chunk.
    chunk: usize,
    chunks: usize,
    /// Those of chunks, `[batch, chunks, width, DIMENSIONS]`; then those after the last step, as [`Average::state_floats`]
    /// has them.
    states: Stream,
    /// SiLU(m + ω ⊙ x), `[batch, length]` rows.
    pub y: Stream,
    /// Of a truncated average.
    convolution: Option<(LongConv, Filter)>,
}

/// The state of decoding.
pub struct State {
    /// Those of all passes, or the last inputs of a truncated average.
    pub now: Stream,
    /// Its copy from the end of the context.
    saved: Stream,
    floats: usize,
    window: Option<Window>,
}

impl State {
    /// Records that the state is the one after `steps` of x, which were recorded before.
    pub fn save(&self, builder: &mut Builder, x: Stream, steps: &Steps) {
        // The scan has stored its own.
        if let Some(window) = &self.window {
            window.save(builder, x, steps.length, self.saved);
        }
        self.restore(builder);
    }

    /// Records the return to the end of the context.
    pub fn restore(&self, builder: &mut Builder) {
        copy(builder, self.saved, self.now, [1, self.floats]);
    }
}

impl Average {
    pub fn upload(builder: &mut Builder, spec: EmaSpec, case: &Case) -> Result<Self, MixerError> {
        let width = spec.dims.d_model;
        let dimensions = ema::dimensions(&spec, &case.tensors)?;
        let omega = builder.upload("omega", spec.residual(&case.tensors)?, Columns::plain(width)).buffer;
        if spec.truncation.is_some() {
            return Ok(Self { spec, omega, method: Method::Convolution(dimensions) });
        }
        let mut passes = Vec::new();
        for direction in 0..spec.directions() {
            for pass in 0..spec.n.div_ceil(DIMENSIONS) {
                let mut params = vec![0.0; width * 2 * DIMENSIONS];
                for (channel, to) in params.chunks_exact_mut(2 * DIMENSIONS).enumerate() {
                    let all = &dimensions[(direction * width + channel) * spec.n..][..spec.n];
                    for (index, dimension) in all.iter().skip(pass * DIMENSIONS).take(DIMENSIONS).enumerate()
                    {
                        to[index] = dimension.decay as f32;
                        to[DIMENSIONS + index] = dimension.gain as f32;
                    }
                }
                let params = builder.upload_padded("average", params, 2 * DIMENSIONS).buffer;
                passes.push(Pass { params, backward: direction == 1 });
            }
        }
        Ok(Self { spec, omega, method: Method::Scan(passes) })
    }

    /// Floats of the states of all passes, `[passes, batch, width, DIMENSIONS]`.
    fn state_floats(&self) -> usize {
        self.passes().len() * self.pass_floats()
    }

    fn pass_floats(&self) -> usize {
        self.spec.dims.batch * self.spec.dims.d_model * DIMENSIONS
    }

    fn passes(&self) -> &[Pass] {
        match &self.method {
            Method::Scan(passes) => passes,
            Method::Convolution(_) => &[],
        }
    }

    /// The buffers of `length` steps of every sequence, and the filter of a truncated average.
    ///
    /// # Errors
    /// [`MixerError::NeedsBuffer`] or [`MixerError::OutOfMemory`] for the filter.
    pub fn steps(&self, builder: &mut Builder, length: usize) -> Result<Steps, MixerError> {
        let (batch, width) = (self.spec.dims.batch, self.spec.dims.d_model);
        let chunk = STEPS.max(length.div_ceil(MOST_CHUNKS));
        let chunks = length.div_ceil(chunk);
        let (states, convolution) = match &self.method {
            Method::Scan(_) => (chunks * self.pass_floats() + self.state_floats(), None),
            Method::Convolution(dimensions) => (4, Some(truncated(builder, &self.spec, length, dimensions)?)),
        };
        let states = builder.stream("states", 1, Columns::plain(states));
        let y = builder.stream("average", batch * length, Columns::plain(width));
        Ok(Steps { length, chunk, chunks, states, y, convolution })
    }

    /// Records SiLU(m + ω ⊙ x) of all steps from the zero state on, without `answers` only the states after them.
    /// Returns its rows.
    pub fn record(&self, builder: &mut Builder, x: Stream, steps: &Steps, answers: bool) -> Stream {
        let (batch, width) = (self.spec.dims.batch, self.spec.dims.d_model);
        let Steps { length, chunk, chunks, states, y, .. } = *steps;
        let scan = Scan { width, length, chunk, chunks, x, y, omega: self.omega, states: states.buffer };
        if let Some((conv, filter)) = &steps.convolution {
            if !answers {
                return y;
            }
            conv.apply(builder, filter, (x, None), (y, None));
            let work = Work { stage: Stage::Finish, items: batch * length * width, flops: 4 };
            scan.stage(builder, work, x.buffer, Options::default());
            return y;
        }
        for (index, pass) in self.passes().iter().enumerate() {
            let kept = (chunks + index) * self.pass_floats();
            let options = self.options(index, (!self.spec.bidirectional).then_some(kept));
            let items = batch * chunks * width;
            for work in [
                Work { stage: Stage::Ends, items, flops: 2 * DIMENSIONS * chunk },
                Work { stage: Stage::Carry, items: batch * width * 4, flops: 8 * chunks },
            ] {
                scan.stage(builder, work, pass.params, options);
            }
            if answers {
                let work = Work { stage: Stage::Outputs, items, flops: 4 * DIMENSIONS * chunk };
                scan.stage(builder, work, pass.params, Options { kept: None, ..options });
            }
        }
        y
    }

    /// Room for the state after `steps`.
    ///
    /// # Errors
    /// As for [`Window::upload`].
    pub fn state(&self, builder: &mut Builder, steps: &Steps) -> Result<State, MixerError> {
        Ok(match &self.method {
            Method::Scan(_) => State {
                now: builder.stream("state", 1, Columns::plain(self.state_floats())),
                saved: steps.states.right(steps.chunks * self.pass_floats()),
                floats: self.state_floats(),
                window: None,
            },
            Method::Convolution(dimensions) => {
                let window = Window::upload(builder, &self.spec, dimensions)?;
                let [now, saved] = ["state", "saved state"].map(|label| window.room(builder, label));
                let floats = self.spec.dims.batch * self.spec.lags() * now.stride;
                State { now, saved, floats, window: Some(window) }
            }
        })
    }

    /// Records one step of every sequence; x and y are `[batch]` rows.
    pub fn step(&self, builder: &mut Builder, clock: Clock, x: Stream, state: &State, y: Stream) {
        if let Some(window) = &state.window {
            window.step(builder, clock, self.omega, [x, state.now, y]);
        }
        let (items, width) = (self.spec.dims.batch * self.spec.dims.d_model, self.spec.dims.d_model);
        let states = state.now.buffer;
        let scan = Scan { width, length: 1, chunk: 1, chunks: 1, x, y, omega: self.omega, states };
        for (index, pass) in self.passes().iter().enumerate() {
            let options = self.options(index, Some(index * self.pass_floats()));
            let work = Work { stage: Stage::Outputs, items, flops: 4 * DIMENSIONS };
            scan.stage(builder, work, pass.params, options);
        }
    }

    fn options(&self, pass: usize, kept: Option<usize>) -> Options {
        let passes = self.passes();
        Options { backward: passes[pass].backward, add: pass > 0, last: pass + 1 == passes.len(), kept }
    }
}

/// Values that the stages of a scan share.
struct Scan {
    /// Channels.
    width: usize,
    length: usize,
    /// Steps of a chunk.
    chunk: usize,
    chunks: usize,
    x: Stream,
    y: Stream,
    omega: BufferId,
    states: BufferId,
}

/// Stages of `ema.wgsl`, numbered as there.
#[derive(Clone, Copy)]
enum Stage {
    Ends = 0,
    Carry = 1,
    Outputs = 2,
    Finish = 3,
}

/// A stage with `items` threads of `flops` operations each.
#[derive(Clone, Copy)]
struct Work {
    stage: Stage,
    items: usize,
    flops: usize,
}

/// Options of a pass of the scan.
#[derive(Clone, Copy, Default)]
struct Options {
    backward: bool,
    /// Whether the result is added to y.
    add: bool,
    /// Whether this is the last pass.
    last: bool,
    /// The place of states that are kept, in floats.
    kept: Option<usize>,
}

impl Scan {
    /// One stage as one dispatch, or several if one would run too long.
    fn stage(
        &self,
        builder: &mut Builder,
        Work { stage, items, flops }: Work,
        params: BufferId,
        options: Options,
    ) {
        let flag = |set: bool| f64::from(u8::from(set));
        let affordable = builder.target().max_dispatch_flops / flops as u64;
        let at_once = usize::try_from(affordable).unwrap_or(usize::MAX).clamp(64, items.max(64));
        for first in (0..items).step_by(at_once) {
            let end = (first + at_once).min(items);
            let groups = (end - first).div_ceil(64);
            let mut uniforms = vec![word(first), word(end)];
            uniforms.extend([self.width, self.length, self.chunk, self.chunks].map(word));
            uniforms.extend([word(self.x.stride), word(self.y.stride)]);
            uniforms.push(vectors(options.kept.unwrap_or_default()));
            builder.dispatch(
                EMA,
                &[
                    ("STAGE", f64::from(stage as u8)),
                    ("BACKWARD", flag(options.backward)),
                    ("ADD", flag(options.add)),
                    ("LAST", flag(options.last)),
                    ("KEEP", flag(options.kept.is_some())),
                ],
                &uniforms,
                &[self.x.buffer, params, self.omega, self.states, self.y.buffer],
                line_of_groups(groups),
                flops as u64 * (end - first) as u64,
            );
        }
    }
}

/// The truncated average as a circular convolution; both directions include the present.
fn truncated(
    builder: &mut Builder,
    spec: &EmaSpec,
    length: usize,
    dimensions: &[ema::Dimension],
) -> Result<(LongConv, Filter), MixerError> {
    let (batch, width) = (spec.dims.batch, spec.dims.d_model);
    let size = fft_size(length).max(8);
    let conv = LongConv::new(builder, [batch, length, width], size)?;
    // Reserve all kernels before the first is built.
    drop(room::<f64>(Count::from(dimensions.len() / spec.n.max(1)) * Count::from(spec.lags()))?);
    let kernels: Vec<Vec<f64>> =
        dimensions.chunks_exact(spec.n).map(|dimensions| ema::kernel(dimensions, spec.lags())).collect();
    let stride = Columns::plain(width).stride();
    if !builder.fits(size.saturating_mul(stride)) {
        return Err(MixerError::NeedsBuffer {
            label: "average".to_owned(),
            needed_bytes: (4 * Count::from(size) * Count::from(stride)).get(),
            limit_bytes: builder.max_binding_bytes(),
        });
    }
    let mut taps: Vec<f32> = zeros(Count::from(size) * Count::from(stride))?;
    let value = |row: usize, lag: usize| kernels.get(row).and_then(|k| k.get(lag)).copied().unwrap_or(0.0);
    for (position, row) in taps.chunks_exact_mut(stride).enumerate() {
        let Some(lag) = circular_lag(position, size, length) else { continue };
        for (channel, to) in row[..width].iter_mut().enumerate() {
            *to = match lag {
                Ok(0) => value(channel, 0) + value(width + channel, 0),
                Ok(lag) => value(channel, lag),
                Err(lag) => value(width + channel, lag),
            } as f32;
        }
    }
    let taps = builder.upload_padded("average", taps, stride);
    let filter = conv.filter(builder, taps, size);
    Ok((conv, filter))
}
