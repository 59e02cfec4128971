//! Sources of shaders.

/// The concatenated WGSL files of `src`, after the build script removed comments and needless blanks.
macro_rules! wgsl {
    ($($path:literal),+ $(,)?) => {
        concat!($(include_str!(concat!(env!("OUT_DIR"), "/wgsl/", $path))),+)
    };
}
