//! Elementwise operations on streams, and the functions that other shaders include.

use mixer::{Access, BufferId, Shader};

use super::builder::Builder;
use super::stream::{Columns, Stream, vectors, word};

const MAP: Shader = Shader {
    label: "map",
    source: wgsl!("ops/gpu/erf.wgsl", "ops/gpu/activation.wgsl", "ops/gpu/line.wgsl", "ops/gpu/map.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::ReadWrite],
};

const UNPACK: Shader = Shader {
    label: "unpack",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/unpack.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::ReadWrite],
};

/// Invocations in a workgroup.
const THREADS: usize = 256;

/// Workgroups in x before a line of workgroups continues in y. Every device supports this number, and `line.wgsl` uses
/// it.
pub(crate) const ROW_OF_GROUPS: usize = 65_535;

/// A function of one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// x.
    None = 0,
    /// max(x, 0).
    Relu = 1,
    /// x Φ(x), with the error function.
    Gelu = 2,
    /// x σ(x).
    Silu = 3,
    /// σ(x).
    Sigmoid = 4,
    /// tanh x.
    Tanh = 5,
    /// ln(1 + eˣ).
    Softplus = 6,
    /// GELU by its tanh approximation.
    GeluTanh = 7,
    /// eˣ.
    Exp = 8,
    /// (1 + erf((x − √½) / (√(1/4π) √2))) / 2, with the constants as Mega rounds them.
    Laplace = 9,
}

impl Activation {
    pub(super) fn number(self) -> f64 {
        f64::from(self as u8)
    }
}

/// How a second stream is combined with the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Combine {
    /// No second stream.
    None = 0,
    /// Product: a gate.
    Multiply = 1,
    /// Sum: a residual.
    Add = 2,
}

impl Combine {
    pub(super) fn number(self) -> f64 {
        f64::from(self as u8)
    }
}

/// A grid of workgroups of 256 for `items` invocations, below the limit in each dimension: invocation number
/// `(workgroup.y · 65,535 + workgroup.x) · 256 + thread`.
pub fn grid(items: usize) -> [usize; 3] {
    line_of_groups(items.div_ceil(THREADS))
}

/// A line of workgroups as a grid below the limit in each dimension. `place_in_line` of `line.wgsl` returns a
/// workgroup's place.
pub(crate) fn line_of_groups(groups: usize) -> [usize; 3] {
    [groups.min(ROW_OF_GROUPS), groups.div_ceil(ROW_OF_GROUPS), 1]
}

/// y = combine(act(alpha · a), b) over `rows` rows of `width` floats, padding included and rounded up to a multiple of
/// four. y must not be in a buffer that is read.
pub fn map(
    builder: &mut Builder,
    a: Stream,
    alpha: f32,
    activation: Activation,
    combine: Option<(Combine, Stream)>,
    y: Stream,
    [rows, width]: [usize; 2],
) {
    let (how, b) = combine.unwrap_or((Combine::None, a));
    let width = width.next_multiple_of(4);
    builder.dispatch(
        MAP,
        &[("ACTIVATION", activation.number()), ("COMBINE", how.number())],
        &[
            word(rows),
            vectors(width),
            0,
            alpha.to_bits(),
            vectors(a.offset),
            vectors(a.stride),
            vectors(b.offset),
            vectors(b.stride),
            vectors(y.offset),
            vectors(y.stride),
        ],
        &[a.buffer, b.buffer, y.buffer],
        grid(rows * width / 4),
        2 * (rows * width) as u64,
    );
}

/// y = x over `rows` rows of `width` floats, by the rules of [`map`].
pub fn copy(builder: &mut Builder, x: Stream, y: Stream, sizes: [usize; 2]) {
    map(builder, x, 1.0, Activation::None, None, y, sizes);
}

/// Returns a buffer with the rows of `x` without padding, the layout of outputs. Reuses `x`'s own buffer where it has
/// no padding.
pub fn unpack(builder: &mut Builder, x: Stream, rows: usize, columns: Columns) -> BufferId {
    if columns.is_packed() && x.offset == 0 && x.stride == columns.len() {
        return x.buffer;
    }
    let items = rows * columns.len();
    let y = builder.scratch("output", items);
    builder.dispatch(
        UNPACK,
        &[],
        &[
            word(items),
            word(columns.len()),
            word(columns.width),
            word(columns.run()),
            word(x.offset),
            word(x.stride),
        ],
        &[x.buffer, y],
        grid(items),
        items as u64,
    );
    y
}
