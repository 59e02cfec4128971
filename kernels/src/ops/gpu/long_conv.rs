//! Long convolution by FFT on the GPU: one dispatch where the transform fits workgroup memory, otherwise three by the
//! four-step FFT (Bailey 1990). Software adapters use `direct_conv.rs`. Channels 2p and 2p + 1 are the real and
//! imaginary part of one transform.

use mixer::{Access, BufferId, MixerError, Shader};

use super::builder::Builder;
use super::direct_conv::{self, Direct, Part};
use super::stream::{Stream, word};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const WHOLE: Shader = Shader {
    label: "conv_whole",
    source: wgsl!(
        "ops/gpu/complex.wgsl",
        "ops/gpu/fft.wgsl",
        "ops/gpu/spectrum.wgsl",
        "ops/gpu/conv_whole.wgsl"
    ),
    entry: "main",
    bindings: &[READ, READ, READ, READ, READ, WRITE],
};

const COLUMNS: Shader = Shader {
    label: "conv_columns",
    source: wgsl!("ops/gpu/complex.wgsl", "ops/gpu/fft.wgsl", "ops/gpu/conv_columns.wgsl"),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE],
};

const ROWS: Shader = Shader {
    label: "conv_rows",
    source: wgsl!(
        "ops/gpu/complex.wgsl",
        "ops/gpu/fft.wgsl",
        "ops/gpu/spectrum.wgsl",
        "ops/gpu/rows_pair.wgsl",
        "ops/gpu/conv_rows.wgsl"
    ),
    entry: "main",
    bindings: &[READ, READ, WRITE],
};

const ROWS_FILTER: Shader = Shader {
    label: "conv_rows_filter",
    source: wgsl!(
        "ops/gpu/complex.wgsl",
        "ops/gpu/fft.wgsl",
        "ops/gpu/spectrum.wgsl",
        "ops/gpu/rows_pair.wgsl",
        "ops/gpu/conv_rows_filter.wgsl"
    ),
    entry: "main",
    bindings: &[READ, READ, WRITE],
};

/// log₂ of the complex numbers in a workgroup's memory: 2048 take 16 KiB, which every WebGPU device has.
const LOG_WORKGROUP: u32 = 11;

/// log₂ of the smallest and largest transform: 2048 rows of 1024 columns cover a million positions.
const LOG_LEAST: u32 = 3;
const LOG_MOST: u32 = 21;

/// Fine steps of the two-level table of roots.
const FINE: usize = 1024;

/// Most bytes of intermediate transforms, which fit the second-level cache of a large device.
const WORK_BYTES: usize = 32 << 20;

/// Convolutions of one length and width.
#[derive(Debug, Clone)]
pub struct LongConv {
    batch: usize,
    seq_len: usize,
    /// Pairs of channels.
    pairs: usize,
    log_size: u32,
    tables: BufferId,
    way: Way,
}

/// Method of the transforms.
#[derive(Debug, Clone, Copy)]
enum Way {
    /// Each in one workgroup's memory.
    Whole,
    /// In steps that each fit workgroup memory.
    Split(Split),
    /// Without workgroup memory.
    Direct(Direct),
}

/// State of transforms larger than workgroup memory.
#[derive(Debug, Clone, Copy)]
struct Split {
    log_rows: u32,
    log_columns: u32,
    /// Pairs of channels per set of dispatches.
    chunk: usize,
    /// Sequences per set of dispatches.
    sequences: usize,
    /// `[sequences, rows, columns, chunk]` complex numbers.
    work: BufferId,
}

/// Filters in the frequency domain.
#[derive(Debug, Clone)]
pub struct Filter {
    /// For each chunk of channels `[size / 2, chunk, 4]`; on software adapters the first dimension is at least 16.
    spectra: Vec<BufferId>,
}

impl LongConv {
    /// Convolutions of `batch` sequences of `seq_len` rows of `width` floats (rounded up to a multiple of four) by
    /// transforms of `size`, a power of two. `ops::long_conv::fft_size` returns the size at which a causal convolution
    /// does not wrap around.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] for a size that is no power of two or too large.
    pub fn new(
        builder: &mut Builder,
        [batch, seq_len, width]: [usize; 3],
        size: usize,
    ) -> Result<Self, MixerError> {
        if !size.is_power_of_two() || size.ilog2() > LOG_MOST {
            let allowed = format!("a power of two up to 2^{LOG_MOST}");
            return Err(MixerError::invalid("size of a transform", allowed, size));
        }
        // A transform of fewer than eight points can be replaced by one of eight only where nothing wraps around.
        let log_size = size.ilog2().max(LOG_LEAST);
        let size = 1_usize << log_size;
        let pairs = width.next_multiple_of(4) / 2;
        let is_direct = builder.target().is_fallback;
        let roots = if is_direct { direct_conv::roots(size) } else { roots(size) };
        let tables = builder.upload_padded("roots of unity", roots, 2).buffer;
        let limit = usize::try_from(builder.max_binding_bytes()).unwrap_or(usize::MAX).min(WORK_BYTES);
        let quick = builder.target().max_dispatch_flops / fft_flops(size, log_size) as u64;
        let at_once = (limit / (8 * size)).min(usize::try_from(quick).unwrap_or(usize::MAX));
        let chunk = pairs.min(at_once.max(1));
        let sequences = batch.min((at_once / chunk).max(1));
        let way = if is_direct {
            Way::Direct(Direct::new(builder, size, [chunk, sequences], tables))
        } else if log_size > LOG_WORKGROUP {
            let log_columns = (log_size / 2).min(LOG_WORKGROUP - 1);
            let work = builder.scratch("transforms", 2 * size * chunk * sequences);
            Way::Split(Split { log_rows: log_size - log_columns, log_columns, chunk, sequences, work })
        } else {
            Way::Whole
        };
        Ok(Self { batch, seq_len, pairs, log_size, tables, way })
    }

    /// Transforms filters in the set-up. `taps` is `[n_taps, width]` with n_taps ≤ size, where tap t multiplies the
    /// input t steps ago. Taps beyond size / 2 multiply the input size − t steps ahead, as in a circular convolution.
    pub fn filter(&self, builder: &mut Builder, taps: Stream, n_taps: usize) -> Filter {
        builder.setup(|builder| {
            let words = |pairs: usize| 4 * (1 << (self.log_size - 1)) * pairs;
            let chunk = match self.way {
                Way::Whole => {
                    let spectrum = builder.scratch("spectra", words(self.pairs));
                    self.whole(builder, Pass { filter: true, length: n_taps, ..Pass::of(taps, spectrum) });
                    return Filter { spectra: vec![spectrum] };
                }
                Way::Split(split) => split.chunk,
                Way::Direct(direct) => direct.chunk,
            };
            let mut spectra = Vec::new();
            for first in (0..self.pairs).step_by(chunk) {
                let part = Part {
                    first,
                    chunk: chunk.min(self.pairs - first),
                    first_sequence: 0,
                    sequences: 1,
                    length: n_taps,
                };
                spectra.push(match self.way {
                    Way::Direct(direct) => direct.filter(builder, part, taps),
                    Way::Split(split) => {
                        let spectrum = builder.scratch("spectra", words(part.chunk));
                        self.columns(builder, split, part, taps, None, false);
                        self.rows(builder, split, part, None, spectrum);
                        spectrum
                    }
                    Way::Whole => continue,
                });
            }
            Filter { spectra }
        })
    }

    /// y = gate_out · (filter ∗ (x · gate_in)) with optional gates. All streams are `[batch · seq_len, width]`. y must
    /// have a buffer of its own.
    pub fn apply(
        &self,
        builder: &mut Builder,
        filter: &Filter,
        (x, gate_in): (Stream, Option<Stream>),
        (y, gate_out): (Stream, Option<Stream>),
    ) {
        let (chunk, at_once) = match self.way {
            Way::Whole => {
                let spectrum = filter.spectra.first().copied();
                let pass = Pass { x, gate_in, gate_out, y, spectrum, filter: false, length: self.seq_len };
                self.whole(builder, pass);
                return;
            }
            Way::Split(split) => (split.chunk, split.sequences),
            Way::Direct(direct) => (direct.chunk, direct.sequences),
        };
        for first_sequence in (0..self.batch).step_by(at_once) {
            let sequences = at_once.min(self.batch - first_sequence);
            for (index, &spectrum) in filter.spectra.iter().enumerate() {
                let first = index * chunk;
                let part = Part {
                    first,
                    chunk: chunk.min(self.pairs - first),
                    first_sequence,
                    sequences,
                    length: self.seq_len,
                };
                match self.way {
                    Way::Direct(direct) => direct.apply(builder, part, spectrum, (x, gate_in), (y, gate_out)),
                    Way::Split(split) => {
                        self.columns(builder, split, part, x, gate_in, false);
                        self.rows(builder, split, part, Some(spectrum), spectrum);
                        self.columns(builder, split, part, y, gate_out, true);
                    }
                    Way::Whole => {}
                }
            }
        }
    }

    fn whole(&self, builder: &mut Builder, pass: Pass) {
        let size = 1_usize << self.log_size;
        let batch = if pass.filter { 1 } else { self.batch };
        let transforms = if pass.filter { 1 } else { 2 };
        let sequence_flops = (self.pairs * (transforms * fft_flops(size, self.log_size) + 8 * size)) as u64;
        let at_once = usize::try_from(builder.target().max_dispatch_flops / sequence_flops.max(1))
            .unwrap_or(usize::MAX)
            .clamp(1, batch);
        let (gate_in, gate_out) = (pass.gate_in.unwrap_or(pass.x), pass.gate_out.unwrap_or(pass.x));
        for first in (0..batch).step_by(at_once) {
            let count = at_once.min(batch - first);
            builder.dispatch(
                WHOLE,
                &[
                    ("GATE_IN", flag(pass.gate_in.is_some())),
                    ("GATE_OUT", flag(pass.gate_out.is_some())),
                    ("FILTER", flag(pass.filter)),
                ],
                &[
                    word(self.pairs),
                    word(pass.length),
                    pairs(pass.x.offset),
                    pairs(pass.x.stride),
                    pairs(gate_in.offset),
                    pairs(gate_in.stride),
                    pairs(gate_out.offset),
                    pairs(gate_out.stride),
                    pairs(pass.y.offset),
                    pairs(pass.y.stride),
                    word(first),
                    (1.0 / size as f32).to_bits(),
                    self.log_size,
                ],
                &[
                    pass.x.buffer,
                    gate_in.buffer,
                    gate_out.buffer,
                    self.tables,
                    pass.spectrum.unwrap_or(self.tables),
                    pass.y.buffer,
                ],
                [self.pairs.div_ceil(1 << (LOG_WORKGROUP - self.log_size)), count, 1],
                sequence_flops * count as u64,
            );
        }
    }

    /// The pass over columns: from `stream` to the work buffer, or with `back` from the work buffer to `stream`.
    fn columns(
        &self,
        builder: &mut Builder,
        split: Split,
        part: Part,
        stream: Stream,
        gate: Option<Stream>,
        back: bool,
    ) {
        let columns = 1_usize << split.log_columns;
        let gate_stream = gate.unwrap_or(stream);
        let gate_buffer = gate.map_or(self.tables, |gate| gate.buffer);
        let bindings = if back {
            [split.work, gate_buffer, self.tables, stream.buffer]
        } else {
            [stream.buffer, gate_buffer, self.tables, split.work]
        };
        let transforms = columns * part.chunk;
        let flops = part.sequences * transforms * fft_flops(1 << split.log_rows, split.log_rows);
        builder.dispatch(
            COLUMNS,
            &[("GATE", flag(gate.is_some())), ("BACK", flag(back))],
            &[
                word(part.chunk),
                word(part.first),
                word(part.length),
                word(columns),
                word(part.first_sequence),
                pairs(stream.offset),
                pairs(stream.stride),
                pairs(gate_stream.offset),
                pairs(gate_stream.stride),
                split.log_rows,
            ],
            &bindings,
            [transforms >> (LOG_WORKGROUP - split.log_rows), part.sequences, 1],
            flops as u64,
        );
    }

    /// The pass over rows, in place. Without a spectrum, writes `made` instead.
    fn rows(
        &self,
        builder: &mut Builder,
        split: Split,
        part: Part,
        spectrum: Option<BufferId>,
        made: BufferId,
    ) {
        let (rows, columns) = (1_usize << split.log_rows, 1_usize << split.log_columns);
        let transforms = if spectrum.is_some() { 2 } else { 1 };
        let per_pair = rows * (transforms * fft_flops(columns, split.log_columns) + 8 * columns);
        let (shader, bindings) = match spectrum {
            Some(spectrum) => (ROWS, [self.tables, spectrum, split.work]),
            None => (ROWS_FILTER, [self.tables, split.work, made]),
        };
        builder.dispatch(
            shader,
            &[],
            &[word(part.chunk), word(rows), (1.0 / (rows * columns) as f32).to_bits(), split.log_columns],
            &bindings,
            [rows / 2, part.chunk.div_ceil(1 << (LOG_WORKGROUP - 1 - split.log_columns)), part.sequences],
            (part.sequences * part.chunk * per_pair) as u64,
        );
    }
}

/// One dispatch of a whole convolution.
#[derive(Clone, Copy)]
struct Pass {
    x: Stream,
    gate_in: Option<Stream>,
    gate_out: Option<Stream>,
    y: Stream,
    spectrum: Option<BufferId>,
    filter: bool,
    length: usize,
}

impl Pass {
    fn of(x: Stream, to: BufferId) -> Self {
        let y = Stream { buffer: to, offset: 0, stride: 0 };
        Self { x, gate_in: None, gate_out: None, y, spectrum: None, filter: false, length: 0 }
    }
}

/// Operations of one complex transform by the field's convention.
fn fft_flops(size: usize, log_size: u32) -> usize {
    5 * size * log_size as usize
}

fn flag(set: bool) -> f64 {
    f64::from(u8::from(set))
}

/// An even number of floats as a number of pairs.
fn pairs(floats: usize) -> u32 {
    debug_assert!(floats.is_multiple_of(2));
    word(floats / 2)
}

/// exp(−2πi k / 2048) for k < 2048, then exp(−2πi j / size) for j < 1024, then exp(−2πi 1024 j / size) for less than a
/// full turn, as interleaved real and imaginary parts. WGSL's own sine is too inaccurate.
fn roots(size: usize) -> Vec<f32> {
    let whole = 1_usize << LOG_WORKGROUP;
    let turns = (0..whole)
        .map(|k| k as f64 / whole as f64)
        .chain((0..FINE).map(|j| j as f64 / size as f64))
        .chain((0..size.div_ceil(FINE)).map(|j| (j * FINE) as f64 / size as f64));
    turns.flat_map(root).collect()
}

/// exp(−2πi turn).
pub(super) fn root(turn: f64) -> [f32; 2] {
    let (sin, cos) = (-std::f64::consts::TAU * turn).sin_cos();
    [cos as f32, sin as f32]
}

#[cfg(test)]
mod tests {
    use mixer::GpuTarget;

    use super::*;
    use crate::ops::gpu::Columns;
    use crate::ops::long_conv::fft_size;

    /// Dispatches of a causal convolution, and the floats that they read and write where each bound buffer is traversed
    /// once, in units of `length · width`.
    fn traffic(length: usize, width: usize) -> (usize, f64) {
        let mut builder = Builder::new(&GpuTarget::WEBGPU_DEFAULTS);
        let columns = Columns::plain(width);
        let conv = LongConv::new(&mut builder, [1, length, width], fft_size(length)).unwrap();
        let taps = builder.upload("taps", &vec![0.0; length * width], columns);
        let x = builder.upload("x", &vec![0.0; length * width], columns);
        let y = builder.stream("y", length, columns);
        let filter = conv.filter(&mut builder, taps, length);
        conv.apply(&mut builder, &filter, (x, None), (y, None));
        let plan = builder.finish(y.buffer).unwrap();
        let mut floats = 0;
        for dispatch in &plan.run {
            for (access, buffer) in dispatch.shader.bindings.iter().zip(&dispatch.bindings) {
                // The pass over rows works in place.
                let in_place = dispatch.shader == ROWS && *access == WRITE;
                // Roots of unity stay in a cache. Unused gates are bound to the roots or to x.
                let is_gate = dispatch.shader == WHOLE && *buffer == x.buffer;
                if *buffer != conv.tables && !is_gate {
                    floats += plan.buffers[buffer.0].words * if in_place { 2 } else { 1 };
                }
            }
            floats += if dispatch.shader == WHOLE { length * width } else { 0 };
        }
        (plan.run.len(), floats as f64 / (length * width) as f64)
    }

    #[test]
    fn a_convolution_takes_one_or_three_passes() {
        // x, the spectra of twice the length, and y.
        assert_eq!(traffic(1024, 256), (1, 4.0));
        // x to the transforms of twice the length; there, the spectra and back; from there to y.
        assert_eq!(traffic(4096, 256), (3, 12.0));
        // Longer sequences are processed in chunks of channels, each with three passes.
        let (passes, _) = traffic(65_536, 256);
        assert!(passes.is_multiple_of(3) && passes > 3, "{passes}");
        assert_eq!(traffic(65_536, 8), (3, 12.0));
    }
}
