//! Convolutions of several real sequences at once, one per SIMD lane ([`WIDE`]: four in wasm, eight natively). Every
//! operation is vertical, so no lanes are shuffled.
//!
//! Sequences of up to N values need a transform of N points only: a right-angle convolution (Crandall and Fagin,
//! *Discrete weighted transforms and large-integer arithmetic*, 1994). Sequences are polynomials modulo x^N − i, so
//! that wrapped products are in the imaginary part, and the real part is the linear convolution. No padding to 2N is
//! needed, and each transform has one sequence.
//!
//! A block modulo x^n − z⁴ is split into four blocks modulo x^(n/4) − z, + z, − iz and + iz. The factors z, z² and z³
//! are equal for all points of a block and stay in registers, whereas a transform with weighted points reads three
//! factors per point. The splits continue down to single points, which are in bit-reversed order. The points are
//! multiplied, and the splits are reversed, so nothing is ever reordered. Large blocks recurse until one fits in a
//! core's own cache, where it is transformed in both directions: a convolution of any size reads memory only a few
//! times.

mod butterfly;

use mixer::{Count, Floats, Memory, MixerError, Problem};

use super::simd::{LANES, Lanes, WIDE, Work, run_wide};
pub(super) use butterfly::Complex;
use butterfly::{
    Enter2, Enter4, Forward, Inverse, Leave2, Leave4, Multiply, Turn4, Turn16, halves, quarters,
};

/// Factors for convolutions on a circle of a fixed power-of-two size.
#[derive(Debug)]
pub struct Fft {
    size: usize,
    /// Triples (z, z², z³) as (re, im) pairs: one for each block after the first level, then one for each of their
    /// quarters, and so on down to blocks of four points.
    factors: Floats,
}

/// Operations of one real FFT of length `n` by the field's convention, 2.5 n log₂ n.
pub fn real_fft_flops(n: Count) -> Count {
    5 * n * n.ilog2() / 2
}

/// Operations of a butterfly of four points: three complex products and eight complex sums.
const BUTTERFLY: u64 = 3 * 6 + 8 * 2;

/// Operations of a product of two complex numbers.
const PRODUCT: u64 = 6;

/// Operations of the first split of real rows into four, and into two, for each point of a part.
const ENTER: [u64; 2] = [22, 4];

/// Operations of the last joining into real rows of four, and of two.
const LEAVE: [u64; 2] = [23, 5];

/// Floats of one triple.
const TRIPLE: usize = 6;

/// Floats of one point of [`WIDE`] sequences: the real parts, then the imaginary parts.
pub const POINT: usize = 2 * WIDE;

/// Number of real channels that are convolved together.
const CHANNELS: usize = 2 * LANES;

/// Number of transforms for the channels of a group.
pub(super) const PARTS: usize = CHANNELS / WIDE;

/// Smallest circle, in positions.
pub const SMALLEST: usize = 8;

/// Largest circle, in positions: its first level leaves blocks of 4⁹ points, the largest that [`forward`] supports.
const LARGEST: usize = 2 << 20;
const _: () = assert!(2 * Problem::MAX_SEQ_LEN <= LARGEST);

/// Points of a transform that a first-level cache holds beside their factors: 8 KiB, natively 16 KiB.
const CACHED: usize = 256;

/// Rows of each quarter that are processed at a time.
const ROWS: usize = 32;

pub(super) type Point = [f32; POINT];

/// Eight channels at one position.
pub type Row = [f32; CHANNELS];
type Triple = [f32; TRIPLE];

/// The factor of a frequency.
pub(super) trait Factor {
    fn complex<V: Lanes>(&self) -> Complex<V>;
}

/// A factor per sequence.
impl Factor for Point {
    #[inline(always)]
    fn complex<V: Lanes>(&self) -> Complex<V> {
        Complex::load(self)
    }
}

/// A factor for all sequences.
impl Factor for [f32; 2] {
    #[inline(always)]
    fn complex<V: Lanes>(&self) -> Complex<V> {
        Complex::splat(*self)
    }
}

/// Number of blocks after the first level: four, or two where the number of points is no power of four.
fn first_blocks(points: usize) -> usize {
    if points.ilog2().is_multiple_of(2) { 4 } else { 2 }
}

impl Fft {
    /// Floats that [`Fft::new`] takes from the memory budget.
    pub fn floats(size: usize) -> Count {
        let points = size / 2;
        // The sum of points / 4, points / 16, …: the number of blocks of all levels below the first.
        Count::from((points - first_blocks(points)) / 3) * Count::from(TRIPLE)
    }

    /// Tables for a circle of `size` positions, computed in f64.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`]; [`MixerError::InvalidField`] where `size` is no power of two from [`SMALLEST`] to 2²¹.
    pub fn new(memory: &Memory, size: usize) -> Result<Self, MixerError> {
        if !size.is_power_of_two() || !(SMALLEST..=LARGEST).contains(&size) {
            return Err(MixerError::invalid("FFT size", "a power of two from 8 to 2,097,152", size));
        }
        let mut factors = memory.floats(Self::floats(size))?;
        let points = size / 2;
        let mut level = &mut factors[..];
        let mut blocks = first_blocks(points);
        while blocks < points {
            let (this, rest) = level.split_at_mut(blocks * TRIPLE);
            for (block, triple) in this.chunks_exact_mut(TRIPLE).enumerate() {
                // Block b of B is modulo x^n − exp(2πi (¼ + rev b) / B), where rev reverses the bits of b.
                let reversed = block.reverse_bits() >> (usize::BITS - blocks.ilog2());
                let turns = (0.25 + reversed as f64) / (4 * blocks) as f64;
                for (power, pair) in (1_u32..).zip(triple.chunks_exact_mut(2)) {
                    set_unit(pair, f64::from(power) * turns);
                }
            }
            level = rest;
            blocks *= 4;
        }
        Ok(Self { size, factors })
    }

    /// Executed operations of one real channel's convolution on a circle of `size` positions: the transform of `size /
    /// 2` points, the products, and the inverse transform. The filter's transform is part of the set-up.
    pub fn convolution_flops(size: usize) -> Count {
        let points = (size / 2).max(1);
        let parts = first_blocks(points);
        let (half, quarter) = (Count::from(points / 2), Count::from(points / 4));
        let [ends, span] = if parts == 4 {
            [quarter * (ENTER[0] + LEAVE[0]), Count::from(points / 4)]
        } else {
            [half * (ENTER[1] + LEAVE[1]), Count::from(points / 2)]
        };
        // Each level divides a block into four.
        let levels = span.ilog2() / 2;
        ends + 2 * levels * quarter * BUTTERFLY + Count::from(points) * PRODUCT
    }

    /// Positions of the circle, twice the points of the transform.
    pub fn size(&self) -> usize {
        self.size
    }

    /// Floats of scratch for a group of eight real channels on a circle of `size` positions.
    pub fn group_floats(size: usize) -> Count {
        Count::from(size) * Count::from(CHANNELS)
    }

    /// [`Fft::group_floats`] on this circle.
    pub fn data_floats(&self) -> usize {
        Self::group_floats(self.size).index()
    }

    /// The triples of blocks `first..first + count` at the level with `blocks` blocks.
    fn level(&self, blocks: usize, first: usize, count: usize) -> &[Triple] {
        let above = (blocks - first_blocks(self.size / 2)) / 3;
        &self.factors.as_chunks::<TRIPLE>().0[above + first..][..count]
    }

    /// Transforms `length` rows of eight real channels, at most as many as there are points. `from(t, rows)` fills rows
    /// from position t on. `emit(part, spectrum)` receives the transform of the first [`WIDE`] channels, then of the
    /// next, in bit-reversed order. `work` is scratch of [`Fft::data_floats`].
    pub(super) fn spectra(
        &self,
        length: usize,
        from: &dyn Fn(usize, &mut [Row]),
        work: &mut [f32],
        mut emit: impl FnMut(usize, &[Point]),
    ) {
        let (points, _) = work.as_chunks_mut::<POINT>();
        let points = &mut points[..PARTS * self.size / 2];
        self.enter(length, &|_, t, rows| from(t, rows), points);
        for (part, points) in points.chunks_exact_mut(self.size / 2).enumerate() {
            let mut span = points.len() / first_blocks(points.len());
            while span > 1 {
                let blocks = points.len() / span;
                forward(points, span, self.level(blocks, 0, blocks));
                span /= 4;
            }
            emit(part, points);
        }
    }

    /// Convolves `length` rows of `groups` groups of eight real channels. `factors(group)` are the filters' spectra
    /// over N, one for each transform of the group. `from(group, t, rows)` fills rows from position t on, `to(group, t,
    /// rows)` receives them; all rows are read before the first one is written. `work` is scratch of
    /// [`Fft::data_floats`] per group.
    pub(super) fn convolve<'f, F: Factor + 'f>(
        &self,
        groups: usize,
        factors: impl Fn(usize) -> [&'f [F]; PARTS],
        length: usize,
        from: &dyn Fn(usize, usize, &mut [Row]),
        to: &dyn Fn(usize, usize, &mut [Row]),
        work: &mut [f32],
    ) {
        debug_assert!(length <= self.size / 2);
        let (points, _) = work.as_chunks_mut::<POINT>();
        let points = &mut points[..groups * PARTS * self.size / 2];
        self.enter(length, from, points);
        let first = first_blocks(self.size / 2);
        let span = self.size / 2 / first;
        for (group, points) in points.chunks_exact_mut(PARTS * self.size / 2).enumerate() {
            for (points, factors) in points.chunks_exact_mut(self.size / 2).zip(factors(group)) {
                let parts = points.chunks_exact_mut(span).zip(factors.chunks_exact(span));
                for (block, (points, factors)) in parts.enumerate() {
                    self.multiply(points, first, block, factors);
                }
            }
        }
        self.leave(length, to, points);
    }

    /// Splits block `block` of `blocks`, multiplies and joins. The result is scaled by `data.len()`.
    fn multiply<F: Factor>(&self, data: &mut [Point], blocks: usize, block: usize, factors: &[F]) {
        let n = data.len();
        if n > CACHED {
            let level = self.level(blocks, block, 1);
            forward(data, n, level);
            let parts = data.chunks_exact_mut(n / 4).zip(factors.chunks_exact(n / 4));
            for (quarter, (data, factors)) in parts.enumerate() {
                self.multiply(data, 4 * blocks, 4 * block + quarter, factors);
            }
            inverse(data, n, level);
            return;
        }
        // Each level has four times as many blocks as the preceding one.
        let triples = |count: usize| self.level(count * blocks, count * block, count);
        let mut span = n;
        while span > 16 {
            forward(data, span, triples(n / span));
            span /= 4;
        }
        match span {
            16 => step(Turn16 { data, outer: triples(n / 16), inner: triples(n / 4), factors }),
            4 => step(Turn4 { data, triples: triples(n / 4), factors }),
            _ => step(Multiply(data, factors)),
        }
        while span < n {
            span *= 4;
            if span > 16 {
                inverse(data, span, triples(n / span));
            }
        }
    }

    /// The first level, from rows. All groups process a part of the rows before the next rows are read, because
    /// neighbouring groups share cache lines and pages of row-major streams.
    fn enter(&self, length: usize, from: &dyn Fn(usize, usize, &mut [Row]), points: &mut [Point]) {
        let parts = first_blocks(self.size / 2);
        let span = self.size / 2 / parts;
        let mut buffer = [[0.0; CHANNELS]; 4 * ROWS];
        for start in (0..span).step_by(ROWS) {
            let count = ROWS.min(span - start);
            for (group, points) in points.chunks_exact_mut(PARTS * self.size / 2).enumerate() {
                for (part, rows) in buffer.chunks_exact_mut(ROWS).take(parts).enumerate() {
                    let first = part * span + start;
                    let (present, absent) =
                        rows[..count].split_at_mut(length.saturating_sub(first).min(count));
                    if !present.is_empty() {
                        from(group, first, present);
                    }
                    absent.fill([0.0; CHANNELS]);
                }
                let rows = [0, 1, 2, 3].map(|part| &buffer[part * ROWS..][..count]);
                let (first, second) = points.split_at_mut(self.size / 2);
                enter::<0>(parts, rows, first, start, count);
                if PARTS == 2 {
                    enter::<1>(parts, rows, second, start, count);
                }
            }
        }
    }

    /// The last level, to rows, in the order of [`Fft::enter`].
    fn leave(&self, length: usize, to: &dyn Fn(usize, usize, &mut [Row]), points: &mut [Point]) {
        let parts = first_blocks(self.size / 2);
        let span = self.size / 2 / parts;
        let mut buffer = [[0.0; CHANNELS]; 4 * ROWS];
        for start in (0..span).step_by(ROWS) {
            let count = ROWS.min(span - start);
            for (group, points) in points.chunks_exact_mut(PARTS * self.size / 2).enumerate() {
                let (first, second) = points.split_at_mut(self.size / 2);
                leave::<0>(parts, first, &mut buffer, start, count);
                if PARTS == 2 {
                    leave::<1>(parts, second, &mut buffer, start, count);
                }
                for (part, rows) in buffer.chunks_exact_mut(ROWS).take(parts).enumerate() {
                    let first = part * span + start;
                    let present = &mut rows[..length.saturating_sub(first).min(count)];
                    if !present.is_empty() {
                        to(group, first, present);
                    }
                }
            }
        }
    }
}

/// Runs a step with the widest vectors that the data's layout allows. Never inlined, since transforms have many steps.
#[inline(never)]
fn step<W: Work>(work: W) -> W::Output {
    run_wide(work)
}

/// The first level of transform `PART` for positions `start..start + count` of each of `parts` blocks.
fn enter<const PART: usize>(
    parts: usize,
    rows: [&[Row]; 4],
    points: &mut [Point],
    start: usize,
    count: usize,
) {
    if parts == 4 {
        step(Enter4::<PART>(rows, quarters(points).map(|part| &mut part[start..][..count])));
    } else {
        step(Enter2::<PART>(rows, halves(points).map(|part| &mut part[start..][..count])));
    }
}

/// The last level, see [`enter`].
fn leave<const PART: usize>(
    parts: usize,
    points: &mut [Point],
    rows: &mut [Row],
    start: usize,
    count: usize,
) {
    if parts == 4 {
        step(Leave4::<PART>(quarters(points).map(|part| &part[start..][..count]), quarters(rows)));
    } else {
        step(Leave2::<PART>(halves(points).map(|part| &part[start..][..count]), quarters(rows)));
    }
}

/// Splits blocks of `span` points into four. The span is a constant in each case, so that the four addresses have one
/// base and constant offsets.
fn forward(data: &mut [Point], span: usize, triples: &[Triple]) {
    match span {
        4 => step(Forward::<1>(data, triples)),
        16 => step(Forward::<4>(data, triples)),
        64 => step(Forward::<16>(data, triples)),
        256 => step(Forward::<64>(data, triples)),
        1024 => step(Forward::<256>(data, triples)),
        4096 => step(Forward::<1024>(data, triples)),
        16384 => step(Forward::<4096>(data, triples)),
        65536 => step(Forward::<16384>(data, triples)),
        262_144 => step(Forward::<65536>(data, triples)),
        _ => debug_assert!(false, "no step for {span} points"),
    }
}

/// Joins the blocks that [`forward`] split.
fn inverse(data: &mut [Point], span: usize, triples: &[Triple]) {
    match span {
        64 => step(Inverse::<16>(data, triples)),
        256 => step(Inverse::<64>(data, triples)),
        1024 => step(Inverse::<256>(data, triples)),
        4096 => step(Inverse::<1024>(data, triples)),
        16384 => step(Inverse::<4096>(data, triples)),
        65536 => step(Inverse::<16384>(data, triples)),
        262_144 => step(Inverse::<65536>(data, triples)),
        _ => debug_assert!(false, "no step for {span} points"),
    }
}

/// exp(2πi · turns) as re, im.
fn set_unit(pair: &mut [f32], turns: f64) {
    let (im, re) = (std::f64::consts::TAU * turns).sin_cos();
    pair[0] = re as f32;
    pair[1] = im as f32;
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn bit_reversed(index: usize, size: usize) -> usize {
        if size == 1 { 0 } else { index.reverse_bits() >> (usize::BITS - size.ilog2()) }
    }

    /// The closed form equals the operations executed by a convolution, level by level.
    #[test]
    fn executed_operations_are_those_of_the_steps_that_run() {
        let memory = Memory::new(1 << 28);
        for log in 3..=16 {
            let size = 1 << log;
            let fft = Fft::new(&memory, size).unwrap();
            let mut work = vec![0.0; fft.data_floats()];
            let factors = vec![[1.0, 0.0]; size / 2];
            butterfly::take_tally();
            fft.convolve(
                1,
                |_| [&factors[..]; PARTS],
                size / 2,
                &|_, _, rows| rows.fill([1.0; CHANNELS]),
                &|_, _, _| {},
                &mut work,
            );
            // Counted for one lane of each transform of a group.
            assert_eq!(butterfly::take_tally(), PARTS as u64 * Fft::convolution_flops(size).get(), "{size}");
        }
        // Half of the operations of the textbook's transforms of the padded length.
        let (textbook, n) = (2 * real_fft_flops(Count::new(1 << 16)).get() + 3 * (1 << 16), 1 << 16);
        let ratio = Fft::convolution_flops(n).get() as f64 / textbook as f64;
        assert!((0.5..1.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn spectra_agree_with_the_definition() {
        let memory = Memory::new(1 << 24);
        for log in 2..=9 {
            let points = 1 << log;
            let fft = Fft::new(&memory, 2 * points).unwrap();
            let rows: Vec<f32> =
                (0..points * CHANNELS).map(|i| ((i * 37) % 23) as f32 / 11.0 - 1.0).collect();
            let from = |t: usize, to: &mut [Row]| {
                to.copy_from_slice(&rows.as_chunks().0[t..][..to.len()]);
            };
            let mut work = vec![f32::NAN; fft.data_floats()];
            fft.spectra(points, &from, &mut work, |part, spectrum| {
                for lane in 0..WIDE {
                    for frequency in 0..points {
                        let (mut want_re, mut want_im) = (0.0_f64, 0.0_f64);
                        for n in 0..points {
                            let turns = (0.25 + frequency as f64) * n as f64 / points as f64;
                            let x = f64::from(rows[n * CHANNELS + part * WIDE + lane]);
                            want_re += x * (std::f64::consts::TAU * turns).cos();
                            want_im += x * (std::f64::consts::TAU * turns).sin();
                        }
                        let got = &spectrum[bit_reversed(frequency, points)];
                        assert!((f64::from(got[lane]) - want_re).abs() < 1e-4 * (points as f64).sqrt());
                        assert!(
                            (f64::from(got[WIDE + lane]) - want_im).abs() < 1e-4 * (points as f64).sqrt()
                        );
                    }
                }
            });
        }
    }

    #[test]
    fn a_factor_of_one_gives_the_input_back() {
        let memory = Memory::new(1 << 26);
        for log in (2..=12).chain([19, 20]) {
            let points = 1 << log;
            let fft = Fft::new(&memory, 2 * points).unwrap();
            let groups = if log > 12 { 1 } else { 1 + log % 3 };
            let want = |group: usize, t: usize, lane: usize| {
                (((t * CHANNELS + lane) * 17 + group) % 19) as f32 - 9.0
            };
            let from = |group: usize, t: usize, rows: &mut [Row]| {
                for (t, row) in (t..).zip(rows) {
                    *row = std::array::from_fn(|lane| want(group, t, lane));
                }
            };
            let mut work = vec![f32::NAN; groups * fft.data_floats()];
            let one = vec![[1.0 / points as f32, 0.0]; points];
            for length in [points, points - 1, points / 2 + 1, 1] {
                let written: Vec<Cell<bool>> = vec![Cell::new(false); groups * length];
                let to = |group: usize, t: usize, rows: &mut [Row]| {
                    for (t, row) in (t..).zip(rows) {
                        for (lane, got) in row.iter().enumerate() {
                            let want = want(group, t, lane);
                            assert!((got - want).abs() < 1e-4, "{length} of {points} points: {got} {want}");
                        }
                        written[group * length + t].set(true);
                    }
                };
                fft.convolve(groups, |_| [&one[..]; PARTS], length, &from, &to, &mut work);
                assert!(written.iter().all(Cell::get));
            }
        }
    }

    #[test]
    fn refuses_a_size_that_is_no_power_of_two() {
        for size in [0, 4, 12, 2 * LARGEST] {
            assert!(Fft::new(&Memory::new(1 << 20), size).is_err());
        }
    }
}
