//! Chooses the fastest of several kernel variants on this device. Each class is measured once on a probe problem,
//! before any timing.
//!
//! The first variant of a plan is the default. It is used where no other variant is clearly faster, where there is only
//! one, where a measurement fails, and where it would take too long.

use kernels::ops::gpu::attention_probe;
use mixer::{Choice, ChosenKernel, GpuTarget, KernelClass, LaneError, Plan};

use super::device::Gpu;
use super::lane::GpuLane;
use crate::cancel::CancelSwitch;

/// Time limit for measuring one class, from the end of the first variant's compilation. The last probe may exceed it.
pub(crate) const LIMIT_NS: f64 = 150e6;

/// Compilation time of the first variant above which no further variant is compiled.
const SLOW_COMPILER_NS: f64 = 500e6;

/// Sequences of the small probe, which excludes slow variants, and of the large one, which fills a large device.
const SMALL: usize = 1;
const LARGE: usize = 8;

/// Ratio to the fastest variant's time in the small probe above which a variant is excluded from the large one.
const OUT_OF_THE_QUESTION: f64 = 2.0;

/// Duration of a sample of the large probe, long enough to make a round trip negligible, and its most repetitions.
const SAMPLE_NS: f64 = 3e6;
const MOST_REPEATS: f64 = 64.0;

/// Rounds of the large probe. Each round measures every variant, and the fastest time of a variant counts.
const ROUNDS: usize = 5;

/// Ratio to the first variant's time below which another variant is chosen.
const CLEARLY_FASTER: f64 = 0.95;

impl Gpu {
    /// Sets every dispatch of the plan that has variants to its fastest variant. Unknown classes are measured within
    /// about `limit_ns` each.
    ///
    /// # Errors
    /// [`LaneError::DeviceLost`], [`LaneError::Cancelled`]. After any other error the first variant is used.
    pub(crate) async fn autotune(
        &self,
        plan: &mut Plan,
        target: &GpuTarget,
        limit_ns: f64,
        cancel: &CancelSwitch,
    ) -> Result<(), LaneError> {
        for Choice { class, variants } in plan.choices() {
            let names: Vec<&'static str> = variants.iter().map(|variant| variant.name).collect();
            let Some(&first) = names.first() else { continue };
            let known = self.chosen().borrow().iter().find(|known| known.class == class).copied();
            let chosen = if let Some(chosen) = known {
                chosen
            } else {
                let measured = match self.fastest(target, class, &names, limit_ns, cancel).await {
                    Err(error @ (LaneError::DeviceLost { .. } | LaneError::Cancelled)) => return Err(error),
                    outcome => outcome.ok().flatten(),
                };
                let variant = measured.unwrap_or(first);
                let chosen = ChosenKernel { class, variant, measured: measured.is_some() };
                self.chosen().borrow_mut().push(chosen);
                chosen
            };
            plan.choose(class, chosen.variant);
        }
        Ok(())
    }

    /// The fastest of several variants; `None` where not all could be measured within the limit.
    async fn fastest(
        &self,
        target: &GpuTarget,
        class: KernelClass,
        names: &[&'static str],
        limit_ns: f64,
        cancel: &CancelSwitch,
    ) -> Result<Option<&'static str>, LaneError> {
        let [first, others @ ..] = names else { return Ok(None) };
        if others.is_empty() {
            return Ok(None);
        }
        let now = || self.host().now_ns();
        let started = now();
        let Some(lane) = self.probe(target, class, first, SMALL, cancel).await? else { return Ok(None) };
        if now() - started > SLOW_COMPILER_NS {
            return Ok(None);
        }
        let deadline = now() + limit_ns;
        let mut small = vec![lane];
        for name in others {
            small.extend(self.probe(target, class, name, SMALL, cancel).await?);
        }
        let mut times = Vec::new();
        for lane in &mut small {
            // The first run also warms the caches and calibrates the size of submissions.
            let warm = self.sample(lane, 1).await?;
            times.push(warm.min(self.sample(lane, 1).await?));
            if now() > deadline {
                return Ok(None);
            }
        }
        drop(small);
        let least = times.iter().copied().fold(f64::INFINITY, f64::min);

        let mut racers = Vec::new();
        for (&name, time) in names.iter().zip(times) {
            if time <= OUT_OF_THE_QUESTION * least
                && let Some(lane) = self.probe(target, class, name, LARGE, cancel).await?
            {
                racers.push((name, lane, f64::INFINITY));
            }
        }
        let mut repeats = 1;
        for _ in 0..ROUNDS {
            for (_, lane, best) in &mut racers {
                *best = best.min(self.sample(lane, repeats).await?);
            }
            let slowest = racers.iter().map(|racer| racer.2).fold(0.0, f64::max);
            repeats = (SAMPLE_NS / slowest.max(1.0)).clamp(1.0, MOST_REPEATS) as u32;
            if now() > deadline {
                break;
            }
        }
        let time_of = |name: &str| racers.iter().find(|racer| racer.0 == name).map(|racer| racer.2);
        let bar = time_of(first).map_or(f64::INFINITY, |time| CLEARLY_FASTER * time);
        let best = racers.iter().min_by(|a, b| a.2.total_cmp(&b.2));
        Ok(best.map(|&(name, _, time)| if time < bar { name } else { first }))
    }

    /// The probe of a class with one variant; `None` where the kernel has no probe.
    async fn probe(
        &self,
        target: &GpuTarget,
        class: KernelClass,
        name: &str,
        batch: usize,
        cancel: &CancelSwitch,
    ) -> Result<Option<GpuLane>, LaneError> {
        let Some(mut plan) = attention_probe(target, class, batch)? else { return Ok(None) };
        plan.choose(class, name);
        Ok(Some(GpuLane::new(self, plan, cancel).await?))
    }

    /// Nanoseconds of one repetition.
    async fn sample(&self, lane: &mut GpuLane, repeats: u32) -> Result<f64, LaneError> {
        let started = self.host().now_ns();
        let finished = lane.run(repeats).await?;
        let elapsed = self.host().now_ns() - started;
        Ok(finished.device_ns.unwrap_or(elapsed) / f64::from(repeats))
    }
}
