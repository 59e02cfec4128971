//! GPU work as data: buffers and dispatches. A system describes its work as a [`Plan`], and only `crates/compute`
//! executes one. A plan can be inspected, counted and tested without a GPU.
//!
//! Binding convention of every shader: `@group(0) @binding(0)` is the uniform block (`Dispatch::uniforms`, 32-bit
//! words), and `@binding(1 + i)` is `Dispatch::bindings[i]` with the access `Shader::bindings[i]`.

use std::ops::Range;

use crate::{Count, MixerError, gather};

/// How a shader uses a storage buffer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// `var<storage, read>`.
    Read,
    /// `var<storage, read_write>`.
    ReadWrite,
}

/// A WGSL module with one entry point. Sources are `include_str!`-ed files: no WGSL is built from user text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Shader {
    /// The source file's stem.
    pub label: &'static str,
    /// WGSL source.
    pub source: &'static str,
    /// Entry point.
    pub entry: &'static str,
    /// Access to the storage buffers at bindings 1, 2, ….
    pub bindings: &'static [Access],
}

/// Index into [`Plan::buffers`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BufferId(pub usize);

/// Initial contents of a buffer.
#[derive(Debug, Clone, PartialEq)]
pub enum Init {
    /// Zeros.
    Zero,
    /// Floats, uploaded once.
    F32(Vec<f32>),
    /// Words, uploaded once.
    U32(Vec<u32>),
}

/// One storage buffer of 32-bit words.
#[derive(Debug, Clone, PartialEq)]
pub struct BufferSpec {
    /// Label for error messages and debuggers.
    pub label: &'static str,
    /// Size in 32-bit words.
    pub words: usize,
    /// Contents before the first dispatch.
    pub init: Init,
}

/// One compute dispatch.
#[derive(Debug, Clone, PartialEq)]
pub struct Dispatch {
    /// The shader.
    pub shader: Shader,
    /// Values of the shader's `override` constants, from validated enums and sizes.
    pub constants: Vec<(&'static str, f64)>,
    /// The uniform block in 32-bit words (floats as bits). The executor pads it to a multiple of 16 bytes.
    pub uniforms: Vec<u32>,
    /// Storage buffers at bindings 1, 2, ….
    pub bindings: Vec<BufferId>,
    /// Workgroups in x, y, z; each at most 65,535.
    pub workgroups: [u32; 3],
    /// Estimated operations. The executor cuts a plan by them into submissions that end before the watchdog intervenes.
    pub flops: u64,
    /// Alternative variants of this dispatch, if any.
    pub choice: Option<Choice>,
}

/// Alternative shaders for a dispatch with equal uniforms, bindings and workgroups. The fastest one depends on the
/// device; an executor may measure it once for each class ([`Plan::choose`]).
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// The properties that determine the fastest variant.
    pub class: KernelClass,
    /// Variants that the device can run. The dispatch uses the first one until another is chosen.
    pub variants: Vec<Variant>,
}

/// One shader that can do a dispatch's work.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant {
    /// Its name in reports.
    pub name: &'static str,
    /// The shader.
    pub shader: Shader,
    /// Values of the shader's `override` constants.
    pub constants: Vec<(&'static str, f64)>,
}

/// Kernels of one class have the same fastest variant on a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct KernelClass {
    /// The operation, e.g. `attention`.
    pub kernel: &'static str,
    /// Head dimension.
    pub d_head: usize,
    /// Whether it runs causally.
    pub causal: bool,
}

/// All GPU work of a lane at one length.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// Buffers, all allocated before anything runs.
    pub buffers: Vec<BufferSpec>,
    /// Dispatches that depend on weights alone. They are timed as set-up.
    pub setup: Vec<Dispatch>,
    /// Dispatches of one forward pass.
    pub run: Vec<Dispatch>,
    /// The buffer that holds the output.
    pub output: Option<BufferId>,
}

/// All GPU work of a lane that decodes: a plan whose dispatches are divided into sections.
///
/// The output of the plan has the answers to the generated tokens, `[tokens, batch, width]`. A run executes the step's
/// section once for each token, without reading anything back between them: the position is a word on the device.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DecodePlan {
    /// Buffers, the dispatches of all sections, and the answers.
    pub plan: Plan,
    /// Dispatches that fill an empty state with the context, without its outputs.
    pub fill: Range<usize>,
    /// Dispatches that fill an empty state with the context and compute every output.
    pub prefill: Range<usize>,
    /// Dispatches that return from a later position to the end of the context.
    pub rewind: Range<usize>,
    /// Dispatches of one generated token.
    pub step: Range<usize>,
    /// The outputs of the context, `[batch, context, width]`, after the prefill.
    pub prompt_output: Option<BufferId>,
    /// Buffers of the state.
    pub state: Vec<BufferId>,
}

impl DecodePlan {
    /// Bytes of the state's buffers.
    pub fn state_bytes(&self) -> u64 {
        let buffers = self.state.iter().filter_map(|id| self.plan.buffers.get(id.0));
        buffers.map(|buffer| 4 * Count::from(buffer.words)).sum::<Count>().get()
    }
}

impl Plan {
    /// Adds a buffer.
    pub fn buffer(&mut self, label: &'static str, words: usize, init: Init) -> BufferId {
        self.buffers.push(BufferSpec { label, words, init });
        BufferId(self.buffers.len() - 1)
    }

    /// Adds a zeroed buffer.
    pub fn scratch(&mut self, label: &'static str, words: usize) -> BufferId {
        self.buffer(label, words, Init::Zero)
    }

    /// Adds a buffer that holds `data`.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`] where the copy cannot be allocated.
    pub fn upload(&mut self, label: &'static str, data: &[f32]) -> Result<BufferId, MixerError> {
        let init = Init::F32(gather(data.len(), data.iter().copied())?);
        Ok(self.buffer(label, data.len(), init))
    }

    /// Bytes of all buffers.
    pub fn bytes(&self) -> u64 {
        self.buffers.iter().map(|buffer| 4 * Count::from(buffer.words)).sum::<Count>().get()
    }

    /// Estimated operations of one forward pass.
    pub fn run_flops(&self) -> u64 {
        self.run.iter().map(|dispatch| Count::new(dispatch.flops)).sum::<Count>().get()
    }

    /// The choices of all dispatches, each class once, in the order of the dispatches.
    pub fn choices(&self) -> Vec<Choice> {
        let mut choices: Vec<Choice> = Vec::new();
        for choice in self.setup.iter().chain(&self.run).filter_map(|dispatch| dispatch.choice.as_ref()) {
            if choices.iter().all(|known| known.class != choice.class) {
                choices.push(choice.clone());
            }
        }
        choices
    }

    /// Switches every dispatch of `class` to the variant of this name, where the dispatch has it.
    pub fn choose(&mut self, class: KernelClass, name: &str) {
        for dispatch in self.setup.iter_mut().chain(&mut self.run) {
            let Some(choice) = dispatch.choice.as_ref().filter(|choice| choice.class == class) else {
                continue;
            };
            if let Some(variant) = choice.variants.iter().find(|variant| variant.name == name) {
                dispatch.shader = variant.shader;
                dispatch.constants.clone_from(&variant.constants);
            }
        }
    }

    /// Checks the plan against the device before anything is allocated.
    ///
    /// # Errors
    /// [`MixerError::NeedsBuffer`], [`MixerError::NeedsLimit`] or [`MixerError::OutOfMemory`].
    pub fn check(&self, target: &GpuTarget) -> Result<(), MixerError> {
        let limit_bytes = target.max_storage_binding_bytes.min(target.max_buffer_bytes);
        for buffer in &self.buffers {
            let needed_bytes = 4 * buffer.words as u64;
            if needed_bytes > limit_bytes {
                return Err(MixerError::NeedsBuffer {
                    label: buffer.label.to_owned(),
                    needed_bytes,
                    limit_bytes,
                });
            }
        }
        if self.bytes() > target.memory_budget_bytes {
            return Err(MixerError::OutOfMemory {
                needed_bytes: self.bytes(),
                limit_bytes: target.memory_budget_bytes,
            });
        }
        for dispatch in self.setup.iter().chain(&self.run) {
            let most = dispatch.workgroups.iter().copied().max().unwrap_or(0);
            if u64::from(most) > u64::from(target.max_workgroups_per_dimension) {
                return Err(MixerError::NeedsLimit {
                    limit: "maxComputeWorkgroupsPerDimension".to_owned(),
                    needed: u64::from(most),
                    available: u64::from(target.max_workgroups_per_dimension),
                });
            }
            let bindings = dispatch.bindings.len() as u64;
            if bindings > u64::from(target.max_storage_buffers_per_stage) {
                return Err(MixerError::NeedsLimit {
                    limit: "maxStorageBuffersPerShaderStage".to_owned(),
                    needed: bindings,
                    available: u64::from(target.max_storage_buffers_per_stage),
                });
            }
        }
        Ok(())
    }
}

/// The device's limits and features that a plan may rely on, in plain numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GpuTarget {
    /// Largest buffer, in bytes.
    pub max_buffer_bytes: u64,
    /// Largest storage binding, in bytes.
    pub max_storage_binding_bytes: u64,
    /// Most storage buffers in one shader.
    pub max_storage_buffers_per_stage: u32,
    /// Workgroup memory, in bytes.
    pub max_workgroup_storage_bytes: u32,
    /// Most invocations in a workgroup.
    pub max_invocations_per_workgroup: u32,
    /// Most workgroups per dimension of a dispatch.
    pub max_workgroups_per_dimension: u32,
    /// Bytes that all buffers of a plan together may hold.
    pub memory_budget_bytes: u64,
    /// Most operations of one dispatch, so that it ends well before a watchdog intervenes.
    pub max_dispatch_flops: u64,
    /// Whether the adapter is a software adapter.
    pub is_fallback: bool,
    /// Whether shaders may use f16.
    pub shader_f16: bool,
}

impl GpuTarget {
    /// The limits that every WebGPU implementation guarantees. A system must run within them or refuse with a reason.
    pub const WEBGPU_DEFAULTS: Self = Self {
        max_buffer_bytes: 256 << 20,
        max_storage_binding_bytes: 128 << 20,
        max_storage_buffers_per_stage: 8,
        max_workgroup_storage_bytes: 16 << 10,
        max_invocations_per_workgroup: 256,
        max_workgroups_per_dimension: 65_535,
        memory_budget_bytes: 1 << 30,
        max_dispatch_flops: 1 << 32,
        is_fallback: false,
        shader_f16: false,
    };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_oversized_buffer_is_refused_before_it_is_allocated() {
        let mut plan = Plan::default();
        plan.scratch("scores", (128 << 20) / 4);
        assert_eq!(plan.check(&GpuTarget::WEBGPU_DEFAULTS), Ok(()));
        plan.scratch("scores", (128 << 20) / 4 + 1);
        assert!(matches!(plan.check(&GpuTarget::WEBGPU_DEFAULTS), Err(MixerError::NeedsBuffer { .. })));
    }
}
