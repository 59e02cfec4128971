//! Errors of the domain. Each carries the numbers of its message and a stable code for programs.

use crate::Allowed;

/// Why a problem, a case or a kernel was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MixerError {
    /// A field of the problem or a parameter is outside its range.
    #[error("{field}: must be {allowed}, got {got}")]
    InvalidField {
        /// The field's name as users write it, e.g. `lengths` or `params.order`.
        field: String,
        /// The allowed range.
        allowed: Allowed,
        /// The value given.
        got: String,
    },
    /// No system has this name.
    #[error("unknown system `{name}`; known systems: {known}")]
    UnknownSystem {
        /// The name given.
        name: String,
        /// The known names, comma separated.
        known: String,
    },
    /// The system's code could not be loaded.
    #[error(
        "the code of {system} could not be loaded; check the connection, reload the page and start again"
    )]
    NotLoaded {
        /// The system's name.
        system: &'static str,
    },
    /// The system has no such parameter.
    #[error("{system} has no parameter `{name}`; it has: {known}")]
    UnknownParam {
        /// The system's name.
        system: String,
        /// The name given.
        name: String,
        /// The known names, comma separated (may be empty).
        known: String,
    },
    /// The system does not support the request by its definition (a causal Linformer, for example).
    #[error("{system} does not support {what}")]
    Unsupported {
        /// The system's name.
        system: String,
        /// The unsupported property.
        what: String,
    },
    /// The system does not decode.
    #[error("{system} does not generate token by token: {why}")]
    NoDecode {
        /// The system's name.
        system: String,
        /// The reason.
        why: NoDecode,
    },
    /// A case lacks a tensor that its configuration requires.
    #[error("tensor `{name}` is missing")]
    MissingTensor {
        /// The tensor's name.
        name: String,
    },
    /// A tensor's shape does not follow from the configuration.
    #[error("tensor `{name}` must have shape {expected:?}, got {got:?}")]
    TensorShape {
        /// The tensor's name.
        name: String,
        /// The shape that the configuration implies.
        expected: Vec<usize>,
        /// The shape given.
        got: Vec<usize>,
    },
    /// A tensor has elements of the wrong kind.
    #[error("tensor `{name}` must hold {expected}, got {got}")]
    TensorKind {
        /// The tensor's name.
        name: String,
        /// The required kind of elements.
        expected: &'static str,
        /// The kind of elements given.
        got: &'static str,
    },
    /// An input or a weight is NaN or infinite.
    #[error("tensor `{name}` holds {value} at {index}; inputs and weights must be finite")]
    NotFinite {
        /// The tensor's name.
        name: String,
        /// Index into the flattened tensor.
        index: usize,
        /// `NaN`, `inf` or `-inf`.
        value: String,
    },
    /// An allocation would exceed the memory budget, or the allocator refused it.
    #[error("needs {needed_bytes} bytes, but only {limit_bytes} bytes are available")]
    OutOfMemory {
        /// Bytes that would be held after the allocation.
        needed_bytes: u64,
        /// The memory budget in bytes.
        limit_bytes: u64,
    },
    /// One GPU buffer would exceed the adapter's limit.
    #[error("GPU buffer `{label}` needs {needed_bytes} bytes; this adapter allows {limit_bytes}")]
    NeedsBuffer {
        /// The buffer's label.
        label: String,
        /// Bytes needed.
        needed_bytes: u64,
        /// The adapter's limit.
        limit_bytes: u64,
    },
    /// Another limit of the adapter is too low.
    #[error("needs {limit} of at least {needed}; this adapter allows {available}")]
    NeedsLimit {
        /// The limit's WebGPU name.
        limit: String,
        /// The value needed.
        needed: u64,
        /// The value that the adapter offers.
        available: u64,
    },
}

impl MixerError {
    /// An [`MixerError::InvalidField`] with a value of any printable type. The value is cleaned and cut, since it may
    /// be hostile.
    pub fn invalid(
        field: impl Into<String>,
        allowed: impl Into<Allowed>,
        got: impl std::fmt::Display,
    ) -> Self {
        Self::InvalidField {
            field: field.into(),
            allowed: allowed.into(),
            got: crate::text::shown(&got.to_string()),
        }
    }
}

/// Why a system does not decode.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoDecode {
    /// Its outputs depend on later positions.
    #[error("each output depends on later tokens, so every new token would change all earlier outputs")]
    NotCausal,
    /// A new token changes how its causal form divides the sequence, and with it earlier outputs.
    #[error(
        "a new token moves the chunks of sorted positions, so that decoding would compute another function than the forward pass"
    )]
    OtherFunction,
    /// Only the kernel over the whole sequence is published.
    #[error("this form is defined over the whole sequence and has no recurrence")]
    WholeSequence,
    /// The decoder for this backend does not exist.
    #[error("its decoder runs on the CPU only")]
    CpuOnly,
}

explain!(NoDecode: {
    NotCausal {} = "decode-not-causal",
    OtherFunction {} = "decode-other-function",
    WholeSequence {} = "decode-whole-sequence",
    CpuOnly {} = "decode-cpu-only",
});

explain!(MixerError: {
    InvalidField { "field": text(field), "allowed": said(allowed), "got": text(got) } = "invalid-field",
    UnknownSystem { "name": text(name), "known": text(known) } = "unknown-system",
    NotLoaded { "system": text(system) } = "not-loaded",
    UnknownParam { "system": text(system), "name": text(name), "known": text(known) } = "unknown-param",
    Unsupported { "system": text(system), "what": text(what) } = "unsupported",
    NoDecode { "system": text(system), "why": said(why) } = "no-decode",
    MissingTensor { "name": text(name) } = "missing-tensor",
    TensorShape { "name": text(name), "expected": shape(expected), "got": shape(got) } = "tensor-shape",
    TensorKind { "name": text(name), "expected": text(expected), "got": text(got) } = "tensor-kind",
    NotFinite { "name": text(name), "index": number(index), "value": text(value) } = "input-not-finite",
    OutOfMemory { "needed": bytes(needed_bytes), "limit": bytes(limit_bytes) } = "out-of-memory",
    NeedsBuffer { "label": text(label), "needed": bytes(needed_bytes), "limit": bytes(limit_bytes) } = "needs-buffer",
    NeedsLimit { "limit": text(limit), "needed": number(needed), "available": number(available) } = "needs-limit",
});
