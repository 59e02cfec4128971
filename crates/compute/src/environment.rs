//! The instruction set that this build's kernels were compiled for.

/// The instruction set that this build's kernels use.
pub(crate) const SIMD: &str = if cfg!(target_arch = "wasm32") {
    if cfg!(target_feature = "relaxed-simd") {
        "relaxed-simd"
    } else if cfg!(target_feature = "simd128") {
        "simd128"
    } else {
        "plain"
    }
} else if cfg!(target_feature = "avx512f") {
    "avx512"
} else if cfg!(target_feature = "avx2") {
    "avx2"
} else if cfg!(target_feature = "sse2") {
    "sse2"
} else if cfg!(target_feature = "neon") {
    "neon"
} else {
    "plain"
};
