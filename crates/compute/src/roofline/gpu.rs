//! Measures the GPU's peak rates through the executor that runs lanes.

use mixer::{Access, Dispatch, LaneError, Peaks, Plan, Shader};

use super::{PROBES, more, now};
use crate::CancelSwitch;
use crate::gpu::{Gpu, GpuLane};

const PEAK: Shader = Shader {
    label: "peak",
    source: include_str!("peak.wgsl"),
    entry: "main",
    bindings: &[Access::ReadWrite],
};

const PEAK_F16: Shader = Shader { label: "peak_f16", source: include_str!("peak_f16.wgsl"), ..PEAK };

const PEAK_EXP: Shader = Shader { label: "peak_exp", source: include_str!("peak_exp.wgsl"), ..PEAK };

const COPY: Shader = Shader {
    label: "copy",
    source: include_str!("copy.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::ReadWrite],
};

/// Multiply-adds of an invocation per round of `peak.wgsl` and `peak_f16.wgsl`, and exponentials per round of
/// `peak_exp.wgsl`.
const PER_ROUND: u64 = 32;

const GROUP: usize = 64;

pub(super) async fn peaks(gpu: &Gpu, cancel: &CancelSwitch) -> Result<Peaks, LaneError> {
    // Enough groups to fill hardware. A software adapter has few cores, so its probe is small.
    let (groups, rounds, copy_words) =
        if gpu.target().is_fallback { (256, 64, 4 << 20) } else { (16_384, 64, 16 << 20) };
    let flops = 2 * PER_ROUND * (groups * GROUP) as u64 * rounds;
    let peak_ns = best(gpu, peak(PEAK, groups, rounds, flops), cancel).await?;
    let mut f16_flops_per_s = None;
    if gpu.target().shader_f16 {
        let f16_ns = best(gpu, peak(PEAK_F16, groups, rounds, flops), cancel).await?;
        f16_flops_per_s = Some(1e9 * flops as f64 / f16_ns);
    }
    // As many exponentials as multiply-adds per round, since special-function units are slower by a power of two.
    let functions = flops / 2;
    let functions_ns = best(gpu, peak(PEAK_EXP, groups, rounds, 8 * functions), cancel).await?;
    let copy_ns = best(gpu, copy(copy_words), cancel).await?;

    // A separate submission, like the first dispatch of a short lane.
    let mut lane = GpuLane::new(gpu, peak(PEAK, 1, 0, 1), cancel).await?;
    let mut dispatch_ns = f64::INFINITY;
    for _ in 0..3 * PROBES {
        let started = now(gpu.host());
        lane.run(1).await?;
        let elapsed = now(gpu.host()) - started;
        // A coarse clock measures some round trips as zero.
        if elapsed > 0.0 {
            dispatch_ns = dispatch_ns.min(elapsed);
        }
    }
    Ok(Peaks {
        flops_per_s: 1e9 * flops as f64 / peak_ns,
        f16_flops_per_s,
        transcendentals_per_s: 1e9 * functions as f64 / functions_ns,
        bytes_per_s: 1e9 * (8 * copy_words) as f64 / copy_ns,
        dispatch_ns: if dispatch_ns.is_finite() { dispatch_ns } else { 0.0 },
    })
}

fn peak(shader: Shader, groups: usize, rounds: u64, flops: u64) -> Plan {
    let mut plan = Plan::default();
    let out = plan.scratch("out", groups * GROUP);
    plan.run.push(Dispatch {
        shader,
        constants: Vec::new(),
        uniforms: vec![rounds as u32],
        bindings: vec![out],
        workgroups: [groups as u32, 1, 1],
        flops,
        choice: None,
    });
    plan.output = Some(out);
    plan
}

fn copy(words: usize) -> Plan {
    let mut plan = Plan::default();
    let from = plan.scratch("from", words);
    let to = plan.scratch("to", words);
    // In units of four words.
    let groups = (words / 4).div_ceil(GROUP) as u32;
    plan.run.push(Dispatch {
        shader: COPY,
        constants: Vec::new(),
        uniforms: Vec::new(),
        bindings: vec![from, to],
        workgroups: [groups.min(65_535), 1, 1],
        flops: words as u64,
        choice: None,
    });
    plan.output = Some(to);
    plan
}

/// Nanoseconds of one repetition in the fastest probe: by the device's clock where it is plausible, otherwise by the
/// time until the work is finished.
async fn best(gpu: &Gpu, plan: Plan, cancel: &CancelSwitch) -> Result<f64, LaneError> {
    let mut lane = GpuLane::new(gpu, plan, cancel).await?;
    let mut repeats = 1;
    let mut best = f64::INFINITY;
    let mut probes = 0;
    while probes < PROBES {
        let started = now(gpu.host());
        let finished = lane.run(repeats).await?;
        let elapsed = now(gpu.host()) - started;
        if let Some(next) = more(repeats, elapsed) {
            repeats = next;
        } else {
            best = best.min(finished.device_ns.unwrap_or(elapsed) / f64::from(repeats));
            probes += 1;
        }
    }
    Ok(best)
}
