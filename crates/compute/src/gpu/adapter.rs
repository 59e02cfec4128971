//! The limits and features to request from an adapter, and its facts in the types of plans and reports.

use mixer::{GpuFacts, GpuTarget};

use super::device::GpuOptions;

/// Device memory that lanes may hold where its size is unknown. WebGPU does not report it.
const DEFAULT_BUDGET_BYTES: u64 = 2 << 30;

/// Operations of a dispatch that takes about 40 ms on modest hardware (100 GFLOP/s).
const HARDWARE_DISPATCH_FLOPS: u64 = 1 << 32;

/// Operations of a dispatch on a software adapter, which reaches a few GFLOP/s.
const SOFTWARE_DISPATCH_FLOPS: u64 = 1 << 28;

/// The guaranteed limits, raised to the adapter's where plans benefit.
pub(super) fn useful_limits(adapter: &wgpu::Adapter, options: &GpuOptions) -> wgpu::Limits {
    let guaranteed = wgpu::Limits::default();
    if options.guaranteed_limits_only {
        return guaranteed;
    }
    let adapter = adapter.limits();
    wgpu::Limits {
        max_buffer_size: adapter.max_buffer_size,
        max_storage_buffer_binding_size: adapter.max_storage_buffer_binding_size,
        max_storage_buffers_per_shader_stage: adapter.max_storage_buffers_per_shader_stage,
        max_compute_workgroup_storage_size: adapter.max_compute_workgroup_storage_size,
        max_compute_invocations_per_workgroup: adapter.max_compute_invocations_per_workgroup,
        max_compute_workgroup_size_x: adapter.max_compute_workgroup_size_x,
        max_compute_workgroup_size_y: adapter.max_compute_workgroup_size_y,
        max_compute_workgroup_size_z: adapter.max_compute_workgroup_size_z,
        max_compute_workgroups_per_dimension: adapter.max_compute_workgroups_per_dimension,
        ..guaranteed
    }
}

/// The features that plans and probes use, where the adapter has them.
pub(super) fn useful_features(adapter: &wgpu::Adapter) -> wgpu::Features {
    adapter.features() & (wgpu::Features::TIMESTAMP_QUERY | wgpu::Features::SHADER_F16)
}

pub(super) fn facts(device: &wgpu::Device, adapter: &wgpu::Adapter) -> GpuFacts {
    let info = adapter.get_info();
    let api = match info.backend {
        wgpu::Backend::BrowserWebGpu => "webgpu",
        wgpu::Backend::Vulkan => "vulkan",
        wgpu::Backend::Metal => "metal",
        wgpu::Backend::Dx12 => "dx12",
        wgpu::Backend::Gl => "gl",
        wgpu::Backend::Noop => "noop",
    };
    let (vendor, architecture) = names(device, &info);
    GpuFacts {
        vendor,
        architecture,
        description: info.name,
        api: api.to_owned(),
        is_fallback: info.device_type == wgpu::DeviceType::Cpu,
        timestamps: device.features().contains(wgpu::Features::TIMESTAMP_QUERY),
        subgroups: adapter.features().contains(wgpu::Features::SUBGROUP),
    }
}

/// Vendor and architecture. A browser reports names, a driver reports a vendor number.
#[cfg(not(target_arch = "wasm32"))]
fn names(_device: &wgpu::Device, info: &wgpu::AdapterInfo) -> (String, String) {
    // PCI vendor numbers, and Mesa's Khronos vendor number for its software drivers.
    let vendor = match info.vendor {
        0x1002 => "amd".to_owned(),
        0x10de => "nvidia".to_owned(),
        0x106b => "apple".to_owned(),
        0x13b5 => "arm".to_owned(),
        0x5143 => "qualcomm".to_owned(),
        0x8086 => "intel".to_owned(),
        0x1_0005 => "mesa".to_owned(),
        other => format!("{other:#06x}"),
    };
    (vendor, info.driver.clone())
}

#[cfg(target_arch = "wasm32")]
fn names(device: &wgpu::Device, _info: &wgpu::AdapterInfo) -> (String, String) {
    // wgpu omits these two from its `AdapterInfo`.
    let read = |object: &js_sys::wasm_bindgen::JsValue, key: &str| {
        js_sys::Reflect::get(object, &key.into()).unwrap_or_default()
    };
    device.as_webgpu().map_or_else(Default::default, |device| {
        let info = read(device, "adapterInfo");
        let text = |key| read(&info, key).as_string().unwrap_or_default();
        (text("vendor"), text("architecture"))
    })
}

pub(super) fn target(device: &wgpu::Device, facts: &GpuFacts, options: &GpuOptions) -> GpuTarget {
    let limits = device.limits();
    GpuTarget {
        max_buffer_bytes: limits.max_buffer_size,
        max_storage_binding_bytes: limits.max_storage_buffer_binding_size,
        max_storage_buffers_per_stage: limits.max_storage_buffers_per_shader_stage,
        max_workgroup_storage_bytes: limits.max_compute_workgroup_storage_size,
        max_invocations_per_workgroup: limits.max_compute_invocations_per_workgroup,
        max_workgroups_per_dimension: limits.max_compute_workgroups_per_dimension,
        memory_budget_bytes: options.memory_budget_bytes.unwrap_or(DEFAULT_BUDGET_BYTES),
        max_dispatch_flops: if facts.is_fallback { SOFTWARE_DISPATCH_FLOPS } else { HARDWARE_DISPATCH_FLOPS },
        is_fallback: facts.is_fallback,
        shader_f16: device.features().contains(wgpu::Features::SHADER_F16),
    }
}
