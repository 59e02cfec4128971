//! Long convolution for software adapters, without workgroup memory: transforms in place in a buffer, a dispatch for each
//! step of radix 16. SwiftShader clears a workgroup's memory word by word in every thread and suspends threads at a
//! barrier, which takes longer there than a transform.
//!
//! It is a right-angle convolution, as on the CPU (see `ops::fft`): N points for N positions of a channel.

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

/// Points of the butterflies in the middle, and of all but the first step.
const RADIX: usize = 16;

/// N for a circle of `size` positions; the middle has sixteen at least.
fn points(size: usize) -> usize {
    (size / 2).max(RADIX)
}

/// exp(−2πi k / 4N) for k < 2N, interleaved real and imaginary parts.
pub(super) fn roots(size: usize) -> Vec<f32> {
    let points = points(size);
    (0..2 * points).flat_map(|k| root(k as f64 / (4 * points) as f64)).collect()
}

/// How the transforms are done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direct {
    /// log₂ of N, at least 4.
    log_points: u32,
    /// Positions of the circle that filters are on.
    circle: usize,
    /// Pairs of channels at once, and sequences at once.
    pub chunk: usize,
    pub sequences: usize,
    roots: BufferId,
    /// `[sequences, N, chunk]` points of two channels.
    work: BufferId,
}

/// The channels and sequences of one set of dispatches.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// First pair of channels, and how many.
    pub first: usize,
    pub chunk: usize,
    pub first_sequence: usize,
    pub sequences: usize,
    /// Rows of a sequence.
    pub length: usize,
}

/// A stream and what it is multiplied by.
#[derive(Clone, Copy)]
struct End {
    stream: Stream,
    gate: Option<Stream>,
}

/// What a step takes its numbers from, or puts them, if not work.
#[derive(Clone, Copy)]
enum Kind {
    Forward,
    Load(End),
    LoadTaps(Stream),
    Back,
    Store(End),
}

impl Direct {
    /// Convolutions on a circle of `size` positions, of which inputs take at most half: `chunk` pairs of channels and
    /// `sequences` sequences at once, with [`roots`] of that size.
    pub fn new(builder: &mut Builder, size: usize, [chunk, sequences]: [usize; 2], roots: BufferId) -> Self {
        let points = points(size);
        let work = builder.scratch("transforms", 4 * points * chunk * sequences);
        Self { log_points: points.ilog2(), circle: size, chunk, sequences, roots, work }
    }

    /// The spectra of the filters in `taps`, `[N, chunk]` points of two channels in the order that the steps leave.
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

    /// The steps besides the one in the middle: one of a smaller radix where N is no power of sixteen, then radix 16.
    /// There is at least one, if only of radix 1, since the middle neither loads nor stores.
    fn radices(&self) -> Vec<usize> {
        let first = 1 << (self.log_points % 4);
        let sixteens = self.log_points as usize / 4 - 1;
        let has_first = first > 1 || sixteens == 0;
        has_first.then_some(first).into_iter().chain(std::iter::repeat_n(RADIX, sixteens)).collect()
    }

    /// One step of blocks of `span` points, in place in `work`, or from or to a stream.
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

    /// The last step of the transforms, the products, and the first step of the inverse.
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
