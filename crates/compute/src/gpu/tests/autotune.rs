//! The choice between variants of a kernel.

use kernels::ops::gpu::attention_probe;
use mixer::{ChosenKernel, GpuTarget, KernelClass};

use super::*;

const CLASS: KernelClass = KernelClass { kernel: "attention", d_head: 8, causal: true };

/// The attention plan with the variants for hardware, whatever the adapter.
fn attention(gpu: &Gpu) -> (GpuTarget, Plan) {
    let target = GpuTarget { is_fallback: false, ..*gpu.target() };
    (target, attention_probe(&target, CLASS, 1).unwrap().unwrap())
}

fn autotune(gpu: &Gpu, target: &GpuTarget, plan: &mut Plan, limit_ns: f64) -> Result<(), LaneError> {
    block_on(gpu.autotune(plan, target, limit_ns, &CancelSwitch::default()))
}

#[test]
fn the_fastest_variant_is_measured_once_and_remembered() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let (target, mut plan) = attention(&gpu);
    let names: Vec<_> = plan.choices()[0].variants.iter().map(|variant| variant.name).collect();
    assert_eq!(names, ["tiles-8x8", "tiles-4x8", "direct"]);
    autotune(&gpu, &target, &mut plan, 60e9).unwrap();
    assert_eq!(gpu.chosen().borrow().len(), 1);
    let chosen = gpu.chosen().borrow()[0];
    assert_eq!(chosen.class, CLASS);
    // A compiler beyond the time limit leaves the first variant.
    assert!(chosen.measured || chosen.variant == "tiles-8x8", "{chosen:?}");
    assert!(names.contains(&chosen.variant), "{chosen:?}");

    let compiled = gpu.cache().borrow().len();
    let (target, mut again) = attention(&gpu);
    autotune(&gpu, &target, &mut again, 60e9).unwrap();
    assert_eq!((gpu.cache().borrow().len(), &gpu.chosen().borrow()[..]), (compiled, &[chosen][..]));
    assert_eq!(again, plan);
    let variants = &plan.choices()[0].variants;
    let variant = variants.iter().find(|variant| variant.name == chosen.variant).unwrap();
    for dispatch in &plan.run {
        assert_eq!((dispatch.shader, &dispatch.constants), (variant.shader, &variant.constants));
    }
}

#[test]
fn the_first_variant_is_used_without_time_to_measure() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let (target, before) = attention(&gpu);
    let mut plan = before.clone();
    autotune(&gpu, &target, &mut plan, 0.0).unwrap();
    assert_eq!(plan, before);
    let first = ChosenKernel { class: CLASS, variant: "tiles-8x8", measured: false };
    assert_eq!(gpu.chosen().borrow()[..], [first]);
}

#[test]
fn a_single_variant_is_taken_unmeasured() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let target = GpuTarget { is_fallback: true, ..*gpu.target() };
    let mut plan = attention_probe(&target, CLASS, 1).unwrap().unwrap();
    autotune(&gpu, &target, &mut plan, 60e9).unwrap();
    assert_eq!(gpu.cache().borrow().len(), 0);
    assert_eq!(
        gpu.chosen().borrow()[..],
        [ChosenKernel { class: CLASS, variant: "direct", measured: false }]
    );
}

#[test]
fn a_cancelled_measurement_is_not_stored() {
    let Some((_guard, gpu)) = device(&GpuOptions::default()) else { return };
    let (target, mut plan) = attention(&gpu);
    let cancel = CancelSwitch::default();
    cancel.cancel();
    assert_eq!(block_on(gpu.autotune(&mut plan, &target, 60e9, &cancel)), Err(LaneError::Cancelled));
    assert!(gpu.chosen().borrow().is_empty());
}
