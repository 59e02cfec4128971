//! Facts about the machine that raced. The strings come from drivers and browsers: show them as text only.

use mixer::{GpuMachine, MachineFacts};
use serde::{Deserialize, Serialize};

/// The machine as seen by the worker or the command line.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Environment {
    /// Version of Crossover that ran the race.
    #[cfg_attr(feature = "schema", schemars(length(max = 80)))]
    pub build: String,
    /// `browser` or `native`.
    #[cfg_attr(feature = "schema", schemars(length(max = 80)))]
    pub host: String,
    /// The browser's user agent, or the operating system.
    #[cfg_attr(feature = "schema", schemars(length(max = 400)))]
    pub agent: String,
    /// Logical cores, as reported.
    pub cores: u32,
    /// Threads that CPU lanes use.
    pub threads: u32,
    /// `plain`, `simd128`, `relaxed-simd`, or the native instruction set.
    #[cfg_attr(feature = "schema", schemars(length(max = 80)))]
    pub simd: String,
    /// Whether the page is cross-origin isolated, which allows threads and a fine clock.
    pub isolated: bool,
    /// The clock's measured step, in milliseconds.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 60_000.0)))]
    pub tick_ms: f64,
    /// Bytes that all CPU lanes together may hold.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub cpu_memory_bytes: f64,
    /// The GPU, where there is one.
    pub gpu: Option<Gpu>,
    /// The reason for a missing GPU, and the remedy.
    #[cfg_attr(feature = "schema", schemars(length(max = 400)))]
    pub gpu_missing: Option<String>,
    /// Peak rates of the machine, measured after the race.
    pub roofline: Option<Roofline>,
}

/// The measured peak rates of the backends that raced.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Roofline {
    /// Peak rates of all threads that CPU lanes used.
    pub cpu: Option<Peaks>,
    /// Peak rates of the GPU.
    pub webgpu: Option<Peaks>,
}

/// Peak rates of one backend.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct Peaks {
    /// f32 operations per second, a multiply-add counting as two.
    pub flops_per_s: f64,
    /// f16 operations per second, a multiply-add counting as two, where shaders may use f16.
    #[serde(default)]
    pub f16_flops_per_s: Option<f64>,
    /// Exponentials per second; absent in older reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub transcendentals_per_s: Option<f64>,
    /// Bytes per second of a copy that exceeds the caches; bytes read and bytes written both count.
    pub bytes_per_s: f64,
    /// Milliseconds from the start of an empty dispatch to the notification of its end.
    pub dispatch_ms: f64,
}

impl Roofline {
    /// The peak rates of the named backend.
    pub fn of(&self, backend: &str) -> Option<&Peaks> {
        match backend {
            "cpu" => self.cpu.as_ref(),
            "webgpu" => self.webgpu.as_ref(),
            _ => None,
        }
    }
}

impl Peaks {
    /// Least milliseconds for `flops` operations, `transcendentals` functions and `bytes` bytes: the longest of the
    /// three times, as if all three ran in parallel. Their sum would be no lower bound where units work in parallel, as
    /// a GPU's special-function units and multipliers do.
    pub fn least_ms(&self, flops: f64, transcendentals: f64, bytes: f64) -> f64 {
        let functions = self.transcendentals_per_s.map_or(0.0, |rate| transcendentals / rate);
        1e3 * (flops / self.flops_per_s).max(bytes / self.bytes_per_s).max(functions)
    }
}

/// A GPU adapter.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase", default)]
pub struct Gpu {
    /// Vendor.
    #[cfg_attr(feature = "schema", schemars(length(max = 80)))]
    pub vendor: String,
    /// Architecture.
    #[cfg_attr(feature = "schema", schemars(length(max = 80)))]
    pub architecture: String,
    /// Device or description; often empty in browsers.
    #[cfg_attr(feature = "schema", schemars(length(max = 400)))]
    pub description: String,
    /// `webgpu`, `vulkan`, `metal` or `dx12`.
    #[cfg_attr(feature = "schema", schemars(length(max = 80)))]
    pub api: String,
    /// Whether it is a software adapter.
    pub fallback: bool,
    /// Largest storage binding, in bytes.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub max_storage_binding_bytes: f64,
    /// Largest buffer, in bytes.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub max_buffer_bytes: f64,
    /// Workgroup memory, in bytes.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub max_workgroup_storage_bytes: f64,
    /// Most invocations per workgroup.
    #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 18_446_744_073_709_551_616.0)))]
    pub max_invocations_per_workgroup: f64,
    /// Whether timestamp queries are supported.
    pub timestamps: bool,
    /// Whether subgroup operations are supported.
    pub subgroups: bool,
    /// Whether f16 is supported.
    pub shader_f16: bool,
    /// The kernel variants that its lanes used.
    #[cfg_attr(feature = "schema", schemars(length(max = 32)))]
    pub kernels: Vec<ChosenKernel>,
}

/// The variant of a kernel that the lanes of a class used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
#[serde(rename_all = "camelCase")]
pub struct ChosenKernel {
    /// The operation: `attention`.
    #[cfg_attr(feature = "schema", schemars(length(max = 80)))]
    pub kernel: String,
    /// Head dimension.
    #[cfg_attr(feature = "schema", schemars(range(min = 0, max = 1_000_000_000)))]
    pub d_head: u32,
    /// Whether it ran causally.
    pub causal: bool,
    /// `tiles-8x8`, `tiles-4x8` or `direct`: the queries and keys per thread, or no tiles.
    #[cfg_attr(feature = "schema", schemars(length(max = 80)))]
    pub variant: String,
    /// Whether it was the fastest of several variants measured before the race. Otherwise a rule chose it.
    pub measured: bool,
}

impl Environment {
    /// Copies the executors' facts. Facts of the surroundings (agent, clock, build) are unchanged.
    pub fn describe(&mut self, machine: &MachineFacts) {
        self.cores = u32::try_from(machine.cores).unwrap_or(u32::MAX).max(self.cores);
        self.threads = u32::try_from(machine.threads).unwrap_or(u32::MAX);
        machine.simd.clone_into(&mut self.simd);
        self.cpu_memory_bytes = machine.cpu_memory_bytes as f64;
        self.gpu = machine.gpu.as_ref().map(Gpu::from);
        self.gpu_missing.clone_from(&machine.gpu_missing);
        self.roofline = machine.roofline.map(Roofline::from);
    }
}

impl From<mixer::Roofline> for Roofline {
    fn from(roofline: mixer::Roofline) -> Self {
        Self { cpu: roofline.cpu.map(Peaks::from), webgpu: roofline.gpu.map(Peaks::from) }
    }
}

impl From<mixer::Peaks> for Peaks {
    fn from(peaks: mixer::Peaks) -> Self {
        let mixer::Peaks { flops_per_s, f16_flops_per_s, transcendentals_per_s, bytes_per_s, dispatch_ns } =
            peaks;
        Self {
            flops_per_s,
            f16_flops_per_s,
            transcendentals_per_s: Some(transcendentals_per_s),
            bytes_per_s,
            dispatch_ms: dispatch_ns / 1e6,
        }
    }
}

impl From<&mixer::ChosenKernel> for ChosenKernel {
    fn from(mixer::ChosenKernel { class, variant, measured }: &mixer::ChosenKernel) -> Self {
        Self {
            kernel: class.kernel.to_owned(),
            d_head: u32::try_from(class.d_head).unwrap_or(u32::MAX),
            causal: class.causal,
            variant: (*variant).to_owned(),
            measured: *measured,
        }
    }
}

impl From<&GpuMachine> for Gpu {
    fn from(machine: &GpuMachine) -> Self {
        let GpuMachine { facts, target, kernels } = machine;
        Self {
            vendor: facts.vendor.clone(),
            architecture: facts.architecture.clone(),
            description: facts.description.clone(),
            api: facts.api.clone(),
            fallback: facts.is_fallback,
            max_storage_binding_bytes: target.max_storage_binding_bytes as f64,
            max_buffer_bytes: target.max_buffer_bytes as f64,
            max_workgroup_storage_bytes: f64::from(target.max_workgroup_storage_bytes),
            max_invocations_per_workgroup: f64::from(target.max_invocations_per_workgroup),
            timestamps: facts.timestamps,
            subgroups: facts.subgroups,
            shader_f16: target.shader_f16,
            kernels: kernels.iter().map(ChosenKernel::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEAKS: Peaks = Peaks {
        flops_per_s: 1e9,
        f16_flops_per_s: None,
        transcendentals_per_s: Some(1e8),
        bytes_per_s: 1e10,
        dispatch_ms: 0.0,
    };

    #[test]
    fn the_least_time_is_the_longest_of_three() {
        assert_eq!(PEAKS.least_ms(1e9, 1e7, 1e9), 1e3);
        assert_eq!(PEAKS.least_ms(1e8, 1e8, 1e9), 1e3);
        assert_eq!(PEAKS.least_ms(1e8, 1e7, 1e10), 1e3);
        // Without a measured rate, functions take no time.
        let older = Peaks { transcendentals_per_s: None, ..PEAKS };
        assert_eq!(older.least_ms(1e9, 1e9, 1e9), 1e3);
    }

    #[test]
    fn older_peaks_are_read_and_written_as_they_were() {
        let older = r#"{"flopsPerS":1.0,"f16FlopsPerS":null,"bytesPerS":1.0,"dispatchMs":0.0}"#;
        let peaks: Peaks = serde_json::from_str(older).unwrap();
        assert_eq!(peaks.transcendentals_per_s, None);
        assert_eq!(serde_json::to_string(&peaks).unwrap(), older);
    }
}
