//! Faults 1–9, 13 and 14 of the executor: refused requests, lost devices, unwritten outputs.

use std::time::Duration;

use mixer::{GpuTarget, MixerError};

use super::*;
use crate::{GpuApi, HostFuture};

fn no_backend(error: LaneError) -> String {
    match error {
        LaneError::NoBackend { backend: "webgpu", reason } => reason.to_string(),
        other => panic!("expected no backend, got {other:?}"),
    }
}

fn host(gpu_api: GpuApi, sleep: impl Fn(Duration) -> HostFuture + 'static) -> Host {
    Host::new(|| 0.0, || Box::pin(std::future::ready(())), sleep, gpu_api)
}

#[test]
fn fault_01_no_api_and_an_insecure_page_have_different_remedies() {
    let reason = |api| {
        let host = host(api, |_| Box::pin(std::future::pending()));
        no_backend(block_on(Gpu::open(&host, &GpuOptions::default())).err().unwrap())
    };
    assert!(reason(GpuApi::Missing).contains("browser"));
    assert!(reason(GpuApi::InsecureContext).contains("https"));
}

#[test]
fn fault_02_a_missing_adapter_has_a_remedy() {
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        backends: wgpu::Backends::empty(),
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let opened = block_on(Gpu::open_on(&instance, &Host::native(), &GpuOptions::default()));
    assert!(no_backend(opened.err().unwrap()).contains("no GPU adapter"));
}

#[test]
fn fault_02_an_unanswered_request_ends_after_five_seconds() {
    let host = host(GpuApi::Present, |limit| {
        assert_eq!(limit, Duration::from_secs(5));
        Box::pin(std::future::ready(()))
    });
    let answer = block_on(super::super::device::answer(&host, "adapter", std::future::pending::<()>()));
    assert!(no_backend(answer.unwrap_err()).contains("no answer within 5 s"));
}

#[test]
fn fault_03_a_refused_device_has_a_remedy() {
    let Some((_guard, _gpu)) = device(&GpuOptions::default()) else { return };
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor::new_without_display_handle());
    let adapter = block_on(instance.request_adapter(&wgpu::RequestAdapterOptions::default())).unwrap();
    let limits = wgpu::Limits { max_compute_workgroup_storage_size: u32::MAX, ..wgpu::Limits::default() };
    let opened = block_on(Gpu::open_adapter(&adapter, &Host::native(), &GpuOptions::default(), limits));
    assert!(no_backend(opened.err().unwrap()).contains("refused a device"));
}

#[test]
fn fault_04_a_device_may_be_held_to_the_guaranteed_limits() {
    let options = GpuOptions { guaranteed_limits_only: true, ..GpuOptions::default() };
    let Some((_guard, gpu)) = device(&options) else { return };
    let (got, least) = (*gpu.target(), GpuTarget::WEBGPU_DEFAULTS);
    assert_eq!(got.max_buffer_bytes, least.max_buffer_bytes);
    assert_eq!(got.max_storage_binding_bytes, least.max_storage_binding_bytes);
    assert_eq!(got.max_storage_buffers_per_stage, least.max_storage_buffers_per_stage);
    assert_eq!(got.max_workgroup_storage_bytes, least.max_workgroup_storage_bytes);
    assert_eq!(got.max_invocations_per_workgroup, least.max_invocations_per_workgroup);
    assert_eq!(got.max_workgroups_per_dimension, least.max_workgroups_per_dimension);
    let n = least.max_storage_binding_bytes as usize / 4 + 1;
    let refused = lane(&gpu, plan(n)).err().unwrap();
    assert!(matches!(refused, LaneError::Mixer(MixerError::NeedsBuffer { .. })), "{refused:?}");
}

fn broken(source: &'static str) -> (String, String) {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return Default::default() };
    let mut bad = plan(64);
    bad.run[1].shader.source = source;
    let error = lane(&gpu, bad).err().unwrap();
    // The device and the valid shaders still work.
    let mut good = lane(&gpu, plan(64)).unwrap();
    block_on(good.run(1)).unwrap();
    assert_eq!(gpu.uncaptured_errors(), [""; 0]);
    match error {
        LaneError::Device { what, message } => (what, message),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fault_05_a_parse_error_has_line_and_column() {
    let (what, message) = broken("@compute @workgroup_size(1)\nfn main() { let x = ; }\n");
    if !what.is_empty() {
        assert_eq!(what, "shader `add`, entry point `main`");
        assert!(message.starts_with("line 2, column 21:"), "{message}");
    }
}

#[test]
fn fault_05_a_validation_error_has_its_line() {
    let source = "@compute @workgroup_size(1)\nfn main() {\n    var x: f32 = 1.0;\n    x = 1u;\n}\n";
    let (what, message) = broken(source);
    if !what.is_empty() {
        assert!(message.starts_with("line 4, column"), "{message}");
    }
}

#[test]
fn fault_05_a_missing_entry_point_is_reported() {
    let (what, message) = broken("@compute @workgroup_size(1)\nfn other() {}\n");
    if !what.is_empty() {
        assert!(what.contains("`main`") && !message.is_empty(), "{message}");
    }
}

/// Set in the process whose address space is limited.
#[cfg(target_os = "linux")]
const CONFINED: &str = "CROSSOVER_TEST_CONFINED";

#[cfg(target_os = "linux")]
#[test]
fn fault_06_memory_refused_by_the_device_is_out_of_memory() {
    if std::env::var_os(CONFINED).is_some() {
        return refused_memory();
    }
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    if !gpu.facts().is_fallback {
        writeln!(std::io::stderr(), "GPU TEST SKIPPED: only a software adapter's memory can be confined")
            .ok();
        return;
    }
    // A software adapter allocates from this process, and 4 GiB of address space are less than the plan needs.
    let test = "gpu::tests::faults::fault_06_memory_refused_by_the_device_is_out_of_memory";
    let output = std::process::Command::new("sh")
        .args(["-c", "ulimit -v 4194304; exec \"$0\" --exact \"$1\" --nocapture"])
        .arg(std::env::current_exe().unwrap())
        .arg(test)
        .env(CONFINED, "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("refused as it should be"), "{output:?}");
}

#[cfg(target_os = "linux")]
fn refused_memory() {
    let options = GpuOptions { memory_budget_bytes: Some(u64::MAX), ..GpuOptions::default() };
    let (_guard, gpu) = device(&options).unwrap();
    let mut small = lane(&gpu, plan(64)).unwrap();
    let mut large = plan(64);
    for _ in 0..64 {
        large.scratch("much", (127 << 20) / 4);
    }
    let error = lane(&gpu, large).err().unwrap();
    let LaneError::Mixer(MixerError::OutOfMemory { needed_bytes, limit_bytes }) = error else {
        panic!("{error:?}")
    };
    assert!(needed_bytes >= 64 * (127 << 20) && limit_bytes < needed_bytes);
    // The granted memory is freed, and an existing lane still runs.
    block_on(small.run(1)).unwrap();
    assert!(lane(&gpu, plan(1 << 20)).is_ok());
    assert_eq!((gpu.lost(), gpu.uncaptured_errors().len()), (None, 0));
    println!("refused as it should be");
}

#[test]
fn fault_06_a_plan_over_the_budget_is_refused_before_allocation() {
    let options = GpuOptions { memory_budget_bytes: Some(1 << 20), ..GpuOptions::default() };
    let Some((_guard, gpu)) = device(&options) else { return };
    let error = lane(&gpu, plan(1 << 20)).err().unwrap();
    assert!(
        matches!(error, LaneError::Mixer(MixerError::OutOfMemory { limit_bytes, .. }) if limit_bytes == 1 << 20)
    );
    assert!(lane(&gpu, plan(1 << 10)).is_ok());
}

#[test]
fn fault_07_a_refused_command_ends_only_its_lane() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    // The buffer is both read and written in one dispatch, which WebGPU refuses when the pass is recorded.
    let mut bad = plan(64);
    let (out, sum) = (bad.run[1].bindings[2], bad.run[0].bindings[2]);
    bad.run[1].bindings = vec![sum, out, out];
    let mut lane_ = lane(&gpu, bad).unwrap();
    let error = block_on(lane_.run(1)).unwrap_err();
    assert!(matches!(&error, LaneError::Device { message, .. } if !message.is_empty()), "{error:?}");
    let mut good = lane(&gpu, plan(64)).unwrap();
    block_on(good.run(1)).unwrap();
    assert_eq!(block_on(good.output()).unwrap(), expected(64));
    assert_eq!((gpu.lost(), gpu.uncaptured_errors().len()), (None, 0));
}

#[test]
fn fault_07_a_malformed_plan_is_refused_in_words() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let refused = |change: fn(&mut Plan)| {
        let mut bad = plan(64);
        change(&mut bad);
        match lane(&gpu, bad) {
            Err(LaneError::Device { what, message }) if what == "the plan" => message,
            other => panic!("{:?}", other.err()),
        }
    };
    assert!(refused(|plan| plan.output = None).contains("no output"));
    assert!(refused(|plan| plan.run[0].bindings.truncate(1)).contains("binds 1 buffers"));
    assert!(refused(|plan| plan.run[0].bindings[0] = BufferId(99)).contains("not in the plan"));
    assert!(refused(|plan| plan.buffers[0].words = 3).contains("has 3 words"));
}

fn lost(outcome: Result<impl Sized, LaneError>) -> String {
    match outcome.err() {
        Some(LaneError::DeviceLost { reason }) => reason,
        other => panic!("expected a lost device, got {other:?}"),
    }
}

#[test]
fn fault_08_after_a_loss_every_call_fails_with_the_reason() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let mut before = lane(&gpu, plan(64)).unwrap();
    block_on(before.run(1)).unwrap();
    gpu.lose();
    assert!(gpu.lost().unwrap().starts_with("destroyed"));
    for _ in 0..2 {
        assert!(lost(block_on(before.run(1))).starts_with("destroyed"));
        assert!(lost(block_on(before.output())).starts_with("destroyed"));
        assert!(lost(lane(&gpu, plan(64))).starts_with("destroyed"));
    }
}

#[test]
fn fault_08_a_device_lost_in_the_middle_of_a_run_ends_it() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let mut running = lane(&gpu, plan(1 << 20)).unwrap();
    block_on(running.run(1)).unwrap();
    let device = gpu.device().clone();
    let killer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        device.destroy();
    });
    assert!(lost(block_on(running.run(1_000_000))).starts_with("destroyed"));
    killer.join().unwrap();
}

#[test]
fn fault_08_a_device_lost_before_a_map_gives_no_stale_output() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let mut lane = lane(&gpu, plan(64)).unwrap();
    block_on(lane.run(1)).unwrap();
    // Destroyed without the poll through which the executor would learn of it.
    gpu.device().destroy();
    lost(block_on(lane.output()));
}

#[test]
fn fault_09_an_output_that_is_not_written_is_not_finite() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let n = 100;
    let mut short = plan(n);
    short.run[1].uniforms[0] = n as u32 - 1;
    let mut lane_ = lane(&gpu, short).unwrap();
    let error = block_on(lane_.run(1)).unwrap_err();
    assert!(matches!(error, LaneError::NotFinite { index: 99, .. }), "{error:?}");
    // After a first run that wrote everything, a second run that does not is detected once the output is filled with
    // NaN.
    let mut whole = lane(&gpu, plan(n)).unwrap();
    block_on(whole.run(1)).unwrap();
    block_on(whole.spoil()).unwrap();
    assert!(block_on(whole.output()).unwrap().iter().all(|value| value.is_nan()));
}

#[test]
fn fault_09_an_unmappable_buffer_is_a_device_error() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let mut lane = lane(&gpu, plan(64)).unwrap();
    block_on(lane.run(1)).unwrap();
    lane.staging.map_async(wgpu::MapMode::Read, .., |_| {});
    let error = block_on(lane.run(1)).unwrap_err();
    assert!(matches!(error, LaneError::Device { .. }), "{error:?}");
    assert_eq!((gpu.lost(), gpu.uncaptured_errors().len()), (None, 0));
}

#[test]
fn fault_13_long_work_is_split_and_a_cancellation_ends_it_quickly() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let cancel = CancelSwitch::default();
    let mut lane = block_on(GpuLane::new(&gpu, plan(1 << 20), &cancel)).unwrap();
    block_on(lane.run(8)).unwrap();
    let switch = cancel.clone();
    let cancelled_at = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(50));
        switch.cancel();
        std::time::Instant::now()
    });
    assert_eq!(block_on(lane.run(1_000_000)), Err(LaneError::Cancelled));
    let waited = cancelled_at.join().unwrap().elapsed();
    assert!(waited < Duration::from_secs(1), "{waited:?}");
    cancel.resume();
    block_on(lane.run(1)).unwrap();
    assert_eq!(block_on(lane.output()).unwrap(), expected(1 << 20));
}

#[test]
fn fault_14_a_software_adapter_is_marked_as_one() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let software = ["llvmpipe", "swiftshader", "warp"]
        .iter()
        .any(|name| gpu.facts().description.to_lowercase().contains(name));
    assert_eq!(gpu.facts().is_fallback, software, "{:?}", gpu.facts());
    assert_eq!(gpu.target().is_fallback, gpu.facts().is_fallback);
}
