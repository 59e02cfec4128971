//! Pipelines, compiled once per shader, entry point and constants. Errors state the line and column.
//!
//! Layouts are explicit. Binding 0 is always a uniform block of at least 16 bytes, whether or not the shader declares
//! it. Binding `1 + i` is a storage buffer with the access `Shader::bindings[i]`.

use std::collections::{HashMap, HashSet};

use mixer::{Access, Dispatch, LaneError, Shader};

use super::device::Gpu;
use crate::cancel::CancelSwitch;

/// A compiled pipeline and the layout of its bind group.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// The compiled pipelines of a device.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    pipelines: HashMap<Key, Pipeline>,
    modules: HashMap<Shader, wgpu::ShaderModule>,
    layouts: HashMap<&'static [Access], wgpu::BindGroupLayout>,
}

#[cfg(test)]
impl Cache {
    /// Number of compiled pipelines.
    pub fn len(&self) -> usize {
        self.pipelines.len()
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Key {
    shader: Shader,
    /// Constants with the bits of their values.
    constants: Vec<(&'static str, u64)>,
}

impl Key {
    fn of(dispatch: &Dispatch) -> Self {
        let constants = dispatch.constants.iter().map(|&(name, value)| (name, value.to_bits())).collect();
        Self { shader: dispatch.shader, constants }
    }
}

/// The pipelines of all dispatches, in order. All new ones are requested before the first is awaited, so that the
/// device compiles while further requests arrive.
///
/// # Errors
/// [`LaneError::Device`] names the shader, the line and the column; [`LaneError::DeviceLost`],
/// [`LaneError::Cancelled`].
pub(crate) async fn pipelines<'a>(
    gpu: &Gpu,
    dispatches: impl Iterator<Item = &'a Dispatch>,
    cancel: &CancelSwitch,
) -> Result<Vec<Pipeline>, LaneError> {
    let keys: Vec<Key> = dispatches.map(Key::of).collect();
    let mut asked = HashSet::new();
    let mut pending = Vec::new();
    for key in &keys {
        if !gpu.cache().borrow().pipelines.contains_key(key) && asked.insert(key) {
            pending.push((key, ask(gpu, key)));
        }
    }
    for (key, (pipeline, module, checked)) in pending {
        if cancel.is_cancelled() {
            return Err(LaneError::Cancelled);
        }
        match checked.await {
            Ok(()) => drop(gpu.cache().borrow_mut().pipelines.insert(key.clone(), pipeline)),
            Err(LaneError::Device { message, .. }) => {
                let what = format!("shader `{}`, entry point `{}`", key.shader.label, key.shader.entry);
                // A message without a position concerns the entry point, the layout or the constants.
                let message = first_error(&module).await.unwrap_or(message);
                return Err(gpu.blame(LaneError::Device { what, message }).await);
            }
            Err(error) => return Err(error),
        }
    }
    let cache = gpu.cache().borrow();
    let unknown = || LaneError::Device { what: "a shader".to_owned(), message: "not compiled".to_owned() };
    keys.iter().map(|key| cache.pipelines.get(key).cloned().ok_or_else(unknown)).collect()
}

/// Requests a pipeline. The future returns whether the device accepts it.
fn ask(
    gpu: &Gpu,
    key: &Key,
) -> (Pipeline, wgpu::ShaderModule, impl Future<Output = Result<(), LaneError>> + use<>) {
    let device = gpu.device();
    let shader = &key.shader;
    let scopes = gpu.scopes("a shader", 0);
    let layout = layout(gpu, shader.bindings);
    let module = module(gpu, shader);
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(shader.label),
        bind_group_layouts: &[Some(&layout)],
        ..Default::default()
    });
    let constants: Vec<_> = key.constants.iter().map(|&(name, bits)| (name, f64::from_bits(bits))).collect();
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(shader.label),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(shader.entry),
        compilation_options: wgpu::PipelineCompilationOptions { constants: &constants, ..Default::default() },
        cache: None,
    });
    (Pipeline { pipeline, layout }, module, scopes.close())
}

/// The module of a shader, which several pipelines may share.
fn module(gpu: &Gpu, shader: &Shader) -> wgpu::ShaderModule {
    if let Some(known) = gpu.cache().borrow().modules.get(shader) {
        return known.clone();
    }
    let module = gpu.device().create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(shader.label),
        source: wgpu::ShaderSource::Wgsl(shader.source.into()),
    });
    gpu.cache().borrow_mut().modules.insert(*shader, module.clone());
    module
}

async fn first_error(module: &wgpu::ShaderModule) -> Option<String> {
    let info = module.get_compilation_info().await;
    let error = info
        .messages
        .into_iter()
        .find(|message| message.message_type == wgpu::CompilationMessageType::Error)?;
    Some(match error.location {
        Some(place) => {
            format!("line {}, column {}: {}", place.line_number, place.line_position, error.message)
        }
        None => error.message,
    })
}

fn layout(gpu: &Gpu, bindings: &'static [Access]) -> wgpu::BindGroupLayout {
    if let Some(known) = gpu.cache().borrow().layouts.get(bindings) {
        return known.clone();
    }
    let entry = |binding: usize, ty: wgpu::BufferBindingType| wgpu::BindGroupLayoutEntry {
        binding: binding as u32,
        visibility: wgpu::ShaderStages::COMPUTE,
        ty: wgpu::BindingType::Buffer { ty, has_dynamic_offset: false, min_binding_size: None },
        count: None,
    };
    let mut entries = vec![entry(0, wgpu::BufferBindingType::Uniform)];
    for (index, access) in bindings.iter().enumerate() {
        let read_only = *access == Access::Read;
        entries.push(entry(1 + index, wgpu::BufferBindingType::Storage { read_only }));
    }
    let layout = gpu
        .device()
        .create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries });
    gpu.cache().borrow_mut().layouts.insert(bindings, layout.clone());
    layout
}
