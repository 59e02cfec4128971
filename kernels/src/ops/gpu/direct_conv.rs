//! Long convolution for software adapters, without workgroup memory: transforms from buffer to buffer, a dispatch for
//! each step. SwiftShader clears a workgroup's memory word by word in every thread and suspends threads at a barrier,
//! which takes longer there than a transform.

use mixer::{Access, BufferId, Shader};

use super::builder::Builder;
use super::elementwise::line_of_groups;
use super::long_conv::root;
use super::stream::{Stream, vectors, word};

const READ: Access = Access::Read;
const WRITE: Access = Access::ReadWrite;

const STEP: Shader = Shader {
    label: "conv_step",
    source: wgsl!(
        "ops/gpu/complex.wgsl",
        "ops/gpu/line.wgsl",
        "ops/gpu/conv_octet.wgsl",
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
        "ops/gpu/conv_octet.wgsl",
        "ops/gpu/spectrum.wgsl",
        "ops/gpu/conv_middle.wgsl"
    ),
    entry: "main",
    bindings: &[READ, READ, READ, WRITE],
};

const ENTRY: Shader = Shader {
    label: "conv_entry",
    source: wgsl!(
        "ops/gpu/complex.wgsl",
        "ops/gpu/spectrum.wgsl",
        "ops/gpu/line.wgsl",
        "ops/gpu/conv_pair.wgsl",
        "ops/gpu/conv_entry.wgsl"
    ),
    entry: "main",
    bindings: &[READ, WRITE],
};

/// Invocations of a workgroup.
const THREADS: usize = 64;

/// exp(−2πi k / size) for k < size / 2, interleaved real and imaginary parts.
pub(super) fn roots(size: usize) -> Vec<f32> {
    (0..size / 2).flat_map(|k| root(k as f64 / size as f64)).collect()
}

/// How the transforms are done.
#[derive(Debug, Clone, Copy)]
pub(super) struct Direct {
    pub log_size: u32,
    /// Pairs of channels at once, an even number, and sequences at once.
    pub chunk: usize,
    pub sequences: usize,
    pub tables: BufferId,
    /// Two of `[sequences, size, chunk]` complex numbers, between which the steps go to and fro.
    pub work: [BufferId; 2],
}

/// The channels and sequences of one set of dispatches.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// First pair of channels, and how many: even numbers.
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

impl Direct {
    /// The spectra of the filters in `taps`.
    pub fn filter(&self, builder: &mut Builder, part: Part, taps: Stream, spectra: BufferId) {
        let radices = [self.radices(), vec![8]].concat();
        let now = self.forward(builder, part, &radices, End { stream: taps, gate: None });
        self.entry(builder, part, [self.work[now], spectra]);
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
        let mut now = self.forward(builder, part, &radices, End { stream: x, gate: gate_in });
        self.middle(builder, part, spectra, now);
        let mut done = 8;
        for (index, &radix) in radices.iter().enumerate() {
            now = 1 - now;
            let store = (index + 1 == radices.len()).then_some(End { stream: y, gate: gate_out });
            self.step(builder, part, [radix, done], now, None, store);
            done *= radix;
        }
    }

    /// The steps besides the one of radix 8 that is in the middle: one of radix 2 or 4 where the size is no power of
    /// eight, then radix 8. There is at least one, if only of radix 1, since the middle neither loads nor stores.
    fn radices(&self) -> Vec<usize> {
        let first = 1 << (self.log_size % 3);
        let eights = self.log_size as usize / 3 - 1;
        let has_first = first > 1 || eights == 0;
        has_first.then_some(first).into_iter().chain(std::iter::repeat_n(8, eights)).collect()
    }

    /// The first steps of the transforms of a stream; says in which of the two buffers they end.
    fn forward(&self, builder: &mut Builder, part: Part, radices: &[usize], from: End) -> usize {
        let (mut now, mut done) = (1, 1);
        for (index, &radix) in radices.iter().enumerate() {
            self.step(builder, part, [radix, done], now, (index == 0).then_some(from), None);
            now = 1 - now;
            done *= radix;
        }
        now
    }

    /// One step, out of buffer `now` or what is loaded, into the other one or what is stored.
    fn step(
        &self,
        builder: &mut Builder,
        part: Part,
        [radix, done]: [usize; 2],
        now: usize,
        load: Option<End>,
        store: Option<End>,
    ) {
        let flag = |set: bool| f64::from(u8::from(set));
        let end = load.or(store);
        let gate = end.and_then(|end| end.gate);
        let place = |stream: Option<Stream>| {
            stream.map_or([0, 0], |stream| {
                [vectors(stream.offset) + word(part.first / 2), vectors(stream.stride)]
            })
        };
        let how_loaded = match load {
            None => 0.0,
            Some(_) if 2 * part.length <= 1 << self.log_size => 2.0,
            Some(_) => 1.0,
        };
        let mut uniforms = vec![
            word(part.chunk / 2),
            word(part.length),
            self.log_size,
            word(done),
            word(radix),
            word(part.first_sequence),
        ];
        uniforms.extend(place(end.map(|end| end.stream)));
        uniforms.extend(place(gate));
        let butterflies = (1 << self.log_size) / radix * (part.chunk / 2);
        let [x, y, _] = line_of_groups(butterflies.div_ceil(THREADS));
        builder.dispatch(
            STEP,
            &[("LOAD", how_loaded), ("STORE", flag(store.is_some())), ("GATE", flag(gate.is_some()))],
            &uniforms,
            &[
                load.map_or(self.work[now], |end| end.stream.buffer),
                gate.map_or(self.tables, |gate| gate.buffer),
                self.tables,
                store.map_or(self.work[1 - now], |end| end.stream.buffer),
            ],
            [x, y, part.sequences],
            (part.sequences * butterflies * 10 * radix * radix.ilog2().max(1) as usize) as u64,
        );
    }

    /// The last step of the transforms in buffer `now`, the products, and the first step of the inverse, into the other.
    fn middle(&self, builder: &mut Builder, part: Part, spectra: BufferId, now: usize) {
        let size = 1_usize << self.log_size;
        let items = (size / 16).max(1) * (part.chunk / 2);
        let [x, y, _] = line_of_groups(items.div_ceil(THREADS));
        builder.dispatch(
            MIDDLE,
            &[],
            &[word(part.chunk / 2), self.log_size],
            &[spectra, self.tables, self.work[now], self.work[1 - now]],
            [x, y, part.sequences],
            // Four butterflies and eight products of two pairs.
            (part.sequences * items * (4 * 240 + 16 * 16)) as u64,
        );
    }

    /// The spectra of filters whose transforms are in the first buffer, into the second.
    fn entry(&self, builder: &mut Builder, part: Part, bindings: [BufferId; 2]) {
        let size = 1_usize << self.log_size;
        let items = size / 2 * part.chunk;
        let [x, y, _] = line_of_groups(items.div_ceil(THREADS));
        builder.dispatch(
            ENTRY,
            &[],
            &[word(part.chunk), self.log_size, (1.0 / size as f32).to_bits()],
            &bindings,
            [x, y, part.sequences],
            (16 * part.sequences * items) as u64,
        );
    }
}
