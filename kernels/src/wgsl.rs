//! Sources of shaders.

/// The concatenated WGSL files of `src` without comments and needless blanks. The build script keeps line numbers.
macro_rules! wgsl {
    ($($path:literal),+ $(,)?) => {
        concat!($(include_str!(concat!(env!("OUT_DIR"), "/wgsl/", $path))),+)
    };
}
