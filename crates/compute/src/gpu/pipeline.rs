//! Pipelines, compiled once per shader, entry point and constants, with the line and column of what does not compile.
//!
//! Layouts are explicit. Binding 0 is always a uniform block of at least 16 bytes, whether or not the shader declares
//! it; binding `1 + i` is a storage buffer with the access that `Shader::bindings[i]` states.

use std::collections::HashMap;

use mixer::{Access, Dispatch, LaneError, Shader};

use super::device::Gpu;

/// A compiled pipeline and the layout of its bind group.
#[derive(Debug, Clone)]
pub(crate) struct Pipeline {
    pub pipeline: wgpu::ComputePipeline,
    pub layout: wgpu::BindGroupLayout,
}

/// What has been compiled on a device.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    pipelines: HashMap<Key, Pipeline>,
    layouts: HashMap<&'static [Access], wgpu::BindGroupLayout>,
}

#[cfg(test)]
impl Cache {
    /// How many pipelines were compiled.
    pub fn len(&self) -> usize {
        self.pipelines.len()
    }
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Key {
    shader: Shader,
    /// Constants by the bits of their values.
    constants: Vec<(&'static str, u64)>,
}

/// The pipeline of a dispatch.
///
/// # Errors
/// [`LaneError::Device`] names the shader, the line and the column; [`LaneError::DeviceLost`].
pub(crate) async fn pipeline(gpu: &Gpu, dispatch: &Dispatch) -> Result<Pipeline, LaneError> {
    let key = Key {
        shader: dispatch.shader,
        constants: dispatch.constants.iter().map(|&(name, value)| (name, value.to_bits())).collect(),
    };
    if let Some(known) = gpu.cache().borrow().pipelines.get(&key) {
        return Ok(known.clone());
    }
    let compiled = compile(gpu, &dispatch.shader, &dispatch.constants).await?;
    gpu.cache().borrow_mut().pipelines.insert(key, compiled.clone());
    Ok(compiled)
}

async fn compile(
    gpu: &Gpu,
    shader: &Shader,
    constants: &[(&'static str, f64)],
) -> Result<Pipeline, LaneError> {
    let device = gpu.device();
    let scopes = gpu.scopes("a shader", 0);
    let layout = layout(gpu, shader.bindings);
    let module = device.create_shader_module(wgpu::ShaderModuleDescriptor {
        label: Some(shader.label),
        source: wgpu::ShaderSource::Wgsl(shader.source.into()),
    });
    let pipeline_layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
        label: Some(shader.label),
        bind_group_layouts: &[Some(&layout)],
        ..Default::default()
    });
    let pipeline = device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
        label: Some(shader.label),
        layout: Some(&pipeline_layout),
        module: &module,
        entry_point: Some(shader.entry),
        compilation_options: wgpu::PipelineCompilationOptions { constants, ..Default::default() },
        cache: None,
    });
    match scopes.close().await {
        Ok(()) => Ok(Pipeline { pipeline, layout }),
        Err(LaneError::Device { message, .. }) => {
            let what = format!("shader `{}`, entry point `{}`", shader.label, shader.entry);
            // A message without a place is about the entry point, the layout or the constants.
            let message = first_error(&module).await.unwrap_or(message);
            Err(gpu.blame(LaneError::Device { what, message }).await)
        }
        Err(error) => Err(error),
    }
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
