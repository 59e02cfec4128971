//! Errors of golden files.

use mixer::explain;

/// Why a golden file was refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum GoldenError {
    /// The file exceeds the size limit.
    #[error("the file has {got} bytes; at most {} are accepted", super::MAX_FILE_BYTES)]
    TooLarge {
        /// Size in bytes.
        got: usize,
    },
    /// The header exceeds the size limit.
    #[error("the header has {got} bytes; at most {} are accepted", super::MAX_HEADER_BYTES)]
    HeaderTooLarge {
        /// Size in bytes.
        got: u64,
    },
    /// Not a safetensors file, or a damaged one.
    #[error("not a readable safetensors file: {reason}")]
    Format {
        /// The parser's message.
        reason: String,
    },
    /// A header string is missing.
    #[error("the header lacks `{key}`")]
    MissingKey {
        /// Its name.
        key: &'static str,
    },
    /// A header string has an invalid value.
    #[error("the header's `{key}` must be {expected}")]
    BadKey {
        /// Its name.
        key: &'static str,
        /// The valid values.
        expected: &'static str,
    },
    /// A tensor has a type that no golden file uses.
    #[error("tensor `{name}` has type {got}; F32, F64, F16, BF16, I32 and I64 are accepted")]
    TensorType {
        /// The tensor.
        name: String,
        /// Its type.
        got: String,
    },
    /// An index exceeds 32 bits.
    #[error("tensor `{name}` contains {value}, which is not a 32-bit index")]
    Index {
        /// The tensor.
        name: String,
        /// The value.
        value: i64,
    },
    /// The expected output is missing.
    #[error("the expected output `y` is missing")]
    MissingOutput,
    /// The expected output contains integers.
    #[error("the expected output `y` has integers, not floats")]
    OutputKind,
    /// The expected output's shape differs from the configuration's.
    #[error("the expected output `y` has shape {got:?}, but {expected}")]
    OutputShape {
        /// The expected shape, in words.
        expected: String,
        /// Its shape.
        got: Vec<usize>,
    },
    /// The stated tolerance would let wrong outputs pass.
    #[error("the header's `tolerance` has {part} {got:e}; for {system}, 0 to {most:e} is accepted")]
    Tolerance {
        /// `abs` or `rel`.
        part: &'static str,
        /// The stated value.
        got: f64,
        /// The system.
        system: &'static str,
        /// The largest value accepted.
        most: f64,
    },
}

explain!(GoldenError: {
    TooLarge { "got": bytes(got) } = "golden-too-large",
    HeaderTooLarge { "got": bytes(got) } = "golden-too-large",
    Format { "reason": text(reason) } = "golden-format",
    MissingKey { "key": text(key) } = "golden-header",
    BadKey { "key": text(key), "expected": text(expected) } = "golden-header",
    TensorType { "name": text(name), "got": text(got) } = "golden-tensor",
    Index { "name": text(name), "value": number(value) } = "golden-tensor",
    MissingOutput {} = "golden-tensor",
    OutputKind {} = "golden-tensor",
    OutputShape { "expected": text(expected), "got": shape(got) } = "golden-tensor",
    Tolerance { "part": text(part), "got": number(got), "system": text(system), "most": number(most) } = "golden-tolerance",
});
