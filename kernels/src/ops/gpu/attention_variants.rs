//! Variants of softmax attention on a GPU, and the probe by which an executor finds the fastest one.

use mixer::{Access, GpuTarget, KernelClass, MixerError, Plan, Shader, Variant};

use super::builder::Builder;
use super::stream::{Columns, word};
use super::tile_attention::{Mask, TileAttention};

const READ: Access = Access::Read;

/// The kernels of softmax attention for one mask file. They have equal uniforms, bindings and workgroups.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttentionShaders {
    /// Uses tiles in workgroup memory, for hardware, whose threads run together.
    pub tiled: Shader,
    /// Uses no workgroup memory and no barriers, for software adapters, where both are slow and a workgroup's memory is
    /// cleared word by word.
    pub direct: Shader,
}

/// [`AttentionShaders`] of mask files, given by their paths in `src` and their bindings after the first five.
macro_rules! attention_shaders {
    ($label:literal, [$($binding:expr),*], $($mask:literal),+) => {{
        use mixer::{Access, Shader};
        const BINDINGS: &[Access] =
            &[Access::Read, Access::Read, Access::Read, Access::ReadWrite, Access::ReadWrite, $($binding),*];
        $crate::ops::gpu::AttentionShaders {
            tiled: Shader {
                label: $label,
                source: wgsl!($($mask,)+ "ops/gpu/attention.wgsl", "ops/gpu/tile_attention.wgsl"),
                entry: "main",
                bindings: BINDINGS,
            },
            direct: Shader {
                label: concat!($label, "_direct"),
                source: wgsl!($($mask,)+ "ops/gpu/attention.wgsl", "ops/gpu/direct_attention.wgsl"),
                entry: "main",
                bindings: BINDINGS,
            },
        }
    }};
}
pub(crate) use attention_shaders;

pub(super) const BAND: AttentionShaders = attention_shaders!(
    "attention",
    [],
    "ops/gpu/mask_ordered.wgsl",
    "ops/gpu/mask_seen.wgsl",
    "ops/gpu/mask_band.wgsl"
);

pub(super) const LISTED: AttentionShaders = attention_shaders!(
    "attention_listed",
    [READ],
    "ops/gpu/mask_ordered.wgsl",
    "ops/gpu/mask_seen.wgsl",
    "ops/gpu/mask_listed.wgsl"
);

/// The name of attention in its [`KernelClass`].
pub(super) const KERNEL: &str = "attention";

/// The variants that a device can run; the first one is the default without a measurement. Software adapters take
/// seconds to compile the kernels for hardware and run them several times slower, so they get a single variant.
pub(super) fn variants(target: &GpuTarget, shaders: &AttentionShaders, chunks: usize) -> Vec<Variant> {
    let chunks = ("CHUNKS", f64::from(word(chunks)));
    let direct = Variant { name: "direct", shader: shaders.direct, constants: vec![chunks] };
    if target.is_fallback {
        return vec![direct];
    }
    let tiled =
        |name, quads| Variant { name, shader: shaders.tiled, constants: vec![chunks, ("QUADS", quads)] };
    vec![tiled("tiles-8x8", 2.0), tiled("tiles-4x8", 1.0), direct]
}

/// Queries and keys of [`attention_probe`].
const PROBE_LENGTH: usize = 512;

/// Heads of each sequence of the probe.
const PROBE_HEADS: usize = 4;

/// Attention of zeros over `batch` sequences of 512 positions and four heads, with 32 workgroups each: enough to
/// compare the variants of `class`. `None` for the class of another kernel.
///
/// # Errors
/// As for [`Plan::check`].
pub fn attention_probe(
    target: &GpuTarget,
    class: KernelClass,
    batch: usize,
) -> Result<Option<Plan>, MixerError> {
    if class.kernel != KERNEL {
        return Ok(None);
    }
    let columns = Columns::heads(PROBE_HEADS, class.d_head);
    let mut builder = Builder::new(target);
    let [q, k, v, o] = ["q", "k", "v", "o"].map(|label| builder.stream(label, batch * PROBE_LENGTH, columns));
    TileAttention {
        batch,
        n_queries: PROBE_LENGTH,
        n_keys: PROBE_LENGTH,
        n_heads: PROBE_HEADS,
        kv_heads: PROBE_HEADS,
        d_head: class.d_head,
        mask: if class.causal { Mask::Causal } else { Mask::Full },
        scale: 1.0,
        q,
        k,
        v,
        o,
    }
    .record(&mut builder);
    builder.finish(o.buffer).map(Some)
}
