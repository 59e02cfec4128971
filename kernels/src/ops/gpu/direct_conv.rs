//! Long convolution for software adapters without workgroup memory: transforms in place in a buffer, with a dispatch
//! for each step of radix 16. SwiftShader clears workgroup memory word by word in every thread and suspends threads at
//! barriers, which takes longer than a transform.
//!
//! A right-angle convolution as on the CPU (see `ops::fft`): N points for N positions of a channel.

use mixer::{Access, BufferId, Shader};

use super::builder::Builder;
use super::elementwise::line_of_groups;
use super::long_conv::root;
use super::stream::{Stream, word};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const STEP: Shader = Shader {
    label: "conv_step",
    source: wgsl!(
        "ops/gpu/complex.wgsl",
        "ops/gpu/line.wgsl",
        "ops/gpu/conv_points.wgsl",
        "ops/gpu/conv_step.wgsl"
    ),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE],
};

const MIDDLE: Shader = Shader {
    label: "conv_middle",
    source: wgsl!(
        "ops/gpu/complex.wgsl",
        "ops/gpu/line.wgsl",
        "ops/gpu/conv_points.wgsl",
        "ops/gpu/conv_middle.wgsl"
    ),
    entry: "main",
    bindings: &[READ, WRITE],
};

/// Invocations of a workgroup.
const THREADS: usize = 64;

/// Points of the middle butterflies and of all steps except the first.
const RADIX: usize = 16;

/// N for a circle of `size` positions, at least 16 for the middle step.
fn points(size: usize) -> usize {
    (size / 2).max(RADIX)
}

/// exp(−2πi k / 4N) for k < 2N, interleaved real and imaginary parts.
pub(super) fn roots(size: usize) -> Vec<f32> {
    let points = points(size);
    (0..2 * points).flat_map(|k| root(k as f64 / (4 * points) as f64)).collect()
}

/// State of the transforms.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direct {
    /// log₂ of N, at least 4.
    log_points: u32,
    /// Positions of the filters' circle.
    circle: usize,
    /// Pairs of channels per set of dispatches, and sequences.
    pub chunk: usize,
    pub sequences: usize,
    roots: BufferId,
    /// Points of two channels, `[sequences, N, chunk]`.
    work: BufferId,
}

/// The channels and sequences of one set of dispatches.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// First pair of channels.
    pub first: usize,
    pub chunk: usize,
    pub first_sequence: usize,
    pub sequences: usize,
    /// Rows of a sequence.
    pub length: usize,
}

/// A stream with its gate.
#[derive(Clone, Copy)]
struct End {
    stream: Stream,
    gate: Option<Stream>,
}

/// Source or target of a step other than `work`.
#[derive(Clone, Copy)]
enum Kind {
    Forward,
    Load(End),
    LoadTaps(Stream),
    Back,
    Store(End),
}

impl Direct {
    /// Convolutions on a circle of `size` positions, of which inputs take at most half. `chunk` pairs of channels and
    /// `sequences` sequences are processed at once, with the [`roots`] of that size.
    pub fn new(builder: &mut Builder, size: usize, [chunk, sequences]: [usize; 2], roots: BufferId) -> Self {
        let points = points(size);
        let work = builder.scratch("transforms", 4 * points * chunk * sequences);
        Self { log_points: points.ilog2(), circle: size, chunk, sequences, roots, work }
    }

    /// The spectra of the filters in `taps`: `[N, chunk]` points of two channels in the order of the steps.
    pub fn filter(&self, builder: &mut Builder, part: Part, taps: Stream) -> BufferId {
        let spectra = builder.scratch("spectra", (4 * part.chunk) << self.log_points);
        let mut span = self.log_points;
        for (index, radix) in self.radices().into_iter().chain([RADIX]).enumerate() {
            let kind = if index == 0 { Kind::LoadTaps(taps) } else { Kind::Forward };
            self.step(builder, part, [radix, 1 << span], kind, spectra);
            span -= radix.ilog2();
        }
        spectra
    }

    /// y = gate_out · (filter ∗ (x · gate_in)).
    pub fn apply(
        &self,
        builder: &mut Builder,
        part: Part,
        spectra: BufferId,
        (x, gate_in): (Stream, Option<Stream>),
        (y, gate_out): (Stream, Option<Stream>),
    ) {
        let radices = self.radices();
        let mut span = self.log_points;
        for (index, &radix) in radices.iter().enumerate() {
            let kind = if index == 0 { Kind::Load(End { stream: x, gate: gate_in }) } else { Kind::Forward };
            self.step(builder, part, [radix, 1 << span], kind, self.work);
            span -= radix.ilog2();
        }
        self.middle(builder, part, spectra);
        for (index, &radix) in radices.iter().enumerate().rev() {
            span += radix.ilog2();
            let kind = if index == 0 { Kind::Store(End { stream: y, gate: gate_out }) } else { Kind::Back };
            self.step(builder, part, [radix, 1 << span], kind, self.work);
        }
    }

    /// The radices of the steps except the middle one: a smaller radix where N is no power of sixteen, then radix 16.
    /// At least one step, possibly of radix 1, because the middle step neither loads nor stores.
    fn radices(&self) -> Vec<usize> {
        let first = 1 << (self.log_points % 4);
        let sixteens = self.log_points as usize / 4 - 1;
        let has_first = first > 1 || sixteens == 0;
        has_first.then_some(first).into_iter().chain(std::iter::repeat_n(RADIX, sixteens)).collect()
    }

    /// One step on blocks of `span` points: in place in `work`, or from or to a stream.
    fn step(&self, builder: &mut Builder, part: Part, [radix, span]: [usize; 2], kind: Kind, work: BufferId) {
        let flag = |set: bool| f64::from(u8::from(set));
        let points = 1_usize << self.log_points;
        let (end, load, scale) = match kind {
            Kind::Load(end) => (Some(end), 1.0, 1.0),
            Kind::LoadTaps(stream) => (Some(End { stream, gate: None }), 2.0, 1.0 / points as f32),
            Kind::Store(end) => (Some(end), 0.0, 1.0),
            Kind::Forward | Kind::Back => (None, 0.0, 1.0),
        };
        let stores = matches!(kind, Kind::Store(_));
        let gate = end.and_then(|end| end.gate);
        let place = |stream: Option<Stream>| {
            stream.map_or([0, 0], |stream| [word(stream.offset / 2 + part.first), word(stream.stride / 2)])
        };
        let mut uniforms: Vec<u32> = (0..RADIX)
            .flat_map(|j| root(-(j as f64) / (4 * radix) as f64))
            .map(|part| (part * scale).to_bits())
            .collect();
        uniforms.extend([
            word(part.chunk),
            word(part.length),
            self.log_points,
            span.ilog2(),
            word(self.circle),
            word(part.first_sequence),
        ]);
        uniforms.extend(place(end.map(|end| end.stream)));
        uniforms.extend(place(gate));
        let butterflies = points / radix * part.chunk;
        let [x, y, _] = line_of_groups(butterflies.div_ceil(THREADS));
        let stream = end.map_or(self.roots, |end| end.stream.buffer);
        builder.dispatch(
            STEP,
            &[
                ("RADIX", radix as f64),
                ("LOAD", load),
                ("STORE", flag(stores)),
                ("GATE", flag(gate.is_some())),
                ("BACK", flag(matches!(kind, Kind::Back | Kind::Store(_)))),
            ],
            &uniforms,
            &[
                if stores { work } else { stream },
                gate.map_or(self.roots, |gate| gate.buffer),
                self.roots,
                if stores { stream } else { work },
            ],
            [x, y, part.sequences],
            (part.sequences * butterflies * 10 * radix * radix.ilog2().max(1) as usize) as u64,
        );
    }

    /// The last step of the transforms, the products, and the first step of the inverse transforms.
    fn middle(&self, builder: &mut Builder, part: Part, spectra: BufferId) {
        let butterflies = (1 << self.log_points) / RADIX * part.chunk;
        let [x, y, _] = line_of_groups(butterflies.div_ceil(THREADS));
        builder.dispatch(
            MIDDLE,
            &[],
            &[word(part.chunk), self.log_points],
            &[spectra, self.work],
            [x, y, part.sequences],
            // Two butterflies and sixteen products of two channels.
            (part.sequences * butterflies * (2 * 640 + 16 * 12)) as u64,
        );
    }
}
