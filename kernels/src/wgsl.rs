//! Sources of shaders.

/// WGSL files of `src`, one after the other, as the build script left them: without comments and needless blanks, line
/// by line.
macro_rules! wgsl {
    ($($path:literal),+ $(,)?) => {
        concat!($(include_str!(concat!(env!("OUT_DIR"), "/wgsl/", $path))),+)
    };
}
