//! Normalisation of rows.

use mixer::{Access, BufferId, Shader};

use super::builder::Builder;
use super::elementwise::line_of_groups;
use super::stream::{Columns, Stream, vectors, word};

const SHADER: Shader = Shader {
    label: "norm",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/reduce.wgsl", "ops/gpu/norm.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::ReadWrite],
};

/// Kind of normalisation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Norm {
    /// (x − mean) / √(variance + ε) · weight + bias; the buffer is from [`Norm::upload`].
    Layer(BufferId),
    /// x · g / √(mean(x²) + ε).
    Scale(f32),
}

impl Norm {
    /// Uploads the weight and bias of a layer norm.
    pub fn upload(builder: &mut Builder, weight: &[f32], bias: &[f32]) -> Self {
        let columns = Columns::plain(weight.len());
        let both = [weight, bias].concat();
        Self::Layer(builder.upload("norm", &both, columns).buffer)
    }
}

/// Normalises `rows` rows of `width` floats of x into y, which must be in another buffer. y's padding becomes zero.
pub fn norm(
    builder: &mut Builder,
    x: Stream,
    norm: Norm,
    epsilon: f32,
    y: Stream,
    [rows, width]: [usize; 2],
) {
    let (weight, scale, g) = match norm {
        Norm::Layer(weight) => (weight, 0.0, 1.0),
        Norm::Scale(g) => (x.buffer, 1.0, g),
    };
    builder.dispatch(
        SHADER,
        &[("SCALE", scale)],
        &[
            word(rows),
            word(width),
            vectors(x.offset),
            vectors(x.stride),
            vectors(y.offset),
            vectors(y.stride),
            epsilon.to_bits(),
            g.to_bits(),
        ],
        &[x.buffer, weight, y.buffer],
        line_of_groups(rows),
        8 * (rows * width) as u64,
    );
}
