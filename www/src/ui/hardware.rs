//! The machine's facts, and advice where something is missing.

use leptos::prelude::*;
use report::{ChosenKernel, Environment, Gpu};

use crate::text::Text;
use chart::format;
use chart::machine::gpu_name;

use super::live::part;
use super::store::Store;

/// Lines of the card, in order.
fn lines(environment: &Environment, text: &Text) -> Vec<(&'static str, String)> {
    let mut lines = vec![
        (
            text.words.hw_cpu,
            format!(
                "{} · {}",
                (text.hw_cores)(environment.cores),
                (text.words.hw_threads)(environment.threads)
            ),
        ),
        (text.hw_simd, environment.simd.clone()),
        (text.hw_clock, (text.hw_clock_step)(&format::time(environment.tick_ms))),
        (
            text.hw_isolated,
            if environment.isolated { text.hw_isolated_yes } else { text.hw_isolated_no }.to_owned(),
        ),
    ];
    if environment.cpu_memory_bytes > 0.0 {
        lines.push((text.hw_memory, (text.hw_memory_text)(&format::bytes(environment.cpu_memory_bytes))));
    }
    let roofline = environment.roofline.unwrap_or_default();
    for (name, peaks) in [(text.hw_peak_cpu, roofline.cpu), (text.hw_peak_gpu, roofline.webgpu)] {
        if let Some(peaks) = peaks {
            let flops = |rate| format::rate(rate, "FLOP/s");
            let mut rates = flops(peaks.flops_per_s);
            if let Some(rate) = peaks.f16_flops_per_s {
                rates.push_str(&(text.hw_peak_f16)(&flops(rate)));
            }
            if let Some(rate) = peaks.transcendentals_per_s {
                rates.push_str(&(text.hw_peak_exp)(&format::rate(rate, "exp/s")));
            }
            lines.push((name, (text.hw_peak_text)(&rates, &format::rate(peaks.bytes_per_s, "B/s"))));
        }
    }
    lines
}

fn gpu_details(gpu: &Gpu, text: &Text) -> Vec<(&'static str, String)> {
    let features: Vec<_> = [
        (gpu.timestamps, text.hw_timestamps),
        (gpu.subgroups, text.hw_subgroups),
        (gpu.shader_f16, text.hw_f16),
    ]
    .into_iter()
    .filter_map(|(there, name)| there.then_some(name))
    .collect();
    let features = if features.is_empty() { text.hw_none.to_owned() } else { features.join(", ") };
    let kernel = |chosen: &ChosenKernel| {
        let name = (text.hw_kernel_class)(&chosen.kernel, chosen.d_head, chosen.causal);
        let how = if chosen.measured { text.hw_kernel_measured } else { text.hw_kernel_by_rule };
        format!("{name}: {} ({how})", chosen.variant)
    };
    let mut details = vec![
        (text.hw_features, features),
        (
            text.hw_limits,
            (text.hw_limits_text)(
                &format::bytes(gpu.max_storage_binding_bytes),
                &format::bytes(gpu.max_buffer_bytes),
                &format::bytes(gpu.max_workgroup_storage_bytes),
                &format::length(gpu.max_invocations_per_workgroup),
            ),
        ),
    ];
    if !gpu.kernels.is_empty() {
        let kernels: Vec<String> = gpu.kernels.iter().map(kernel).collect();
        details.push((text.hw_kernels, kernels.join(" · ")));
    }
    details
}

/// The hardware card.
#[component]
pub fn Hardware(store: Store) -> impl IntoView {
    let text = store.text();
    view! {
        <section class="card hardware" data-testid="hardware" aria-labelledby="hardware-title">
            <h2 id="hardware-title">{text.hardware_title}</h2>
            {part(move || match store.environment.get() {
                None => view! { <p class="muted">{text.hw_gpu_looking}</p> }.into_any(),
                Some(environment) => view! {
                    <dl>
                        <div>
                            <dt>{text.words.hw_gpu}</dt>
                            {match &environment.gpu {
                                Some(gpu) => view! {
                                    <dd>
                                        {gpu_name(gpu, text.words)}
                                        <small class="api">{gpu.api.clone()}</small>
                                        {gpu.fallback.then(|| view! { <span class="tag warn-tag">{text.hw_gpu_software}</span> })}
                                    </dd>
                                }.into_any(),
                                None => view! {
                                    <dd>
                                        {text.hw_gpu_none}
                                        <p class="remedy">{environment.gpu_missing.clone()}</p>
                                    </dd>
                                }.into_any(),
                            }}
                        </div>
                        {lines(&environment, text).into_iter().map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> }).collect_view()}
                    </dl>
                    <details>
                        <summary>{text.hw_more}</summary>
                        <dl>
                            {environment
                                .gpu
                                .as_ref()
                                .map(|gpu| gpu_details(gpu, text))
                                .unwrap_or_default()
                                .into_iter()
                                .chain([(text.hw_browser, environment.agent.clone()), (text.hw_build, environment.build.clone())])
                                .map(|(name, value)| view! { <div><dt>{name}</dt><dd>{value}</dd></div> })
                                .collect_view()}
                        </dl>
                    </details>
                }.into_any(),
            })}
        </section>
    }
}
