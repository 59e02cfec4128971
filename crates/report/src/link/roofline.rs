//! The machine's measured roofline in a link: the part that version 2 adds to a report, and the peak rates of
//! transcendental functions that version 4 adds.

use serde::{Deserialize, Serialize};

use super::LinkError;
use super::numbers::{COST, COUNT, quantise, restore};
use crate::validate::{MAX_AMOUNT, TIME_MS};
use crate::{Environment, Peaks, Roofline};

#[derive(Serialize, Deserialize)]
pub(super) struct LinkRoofline {
    cpu: Option<LinkPeaks>,
    webgpu: Option<LinkPeaks>,
}

#[derive(Serialize, Deserialize)]
struct LinkPeaks {
    flops_per_s: u32,
    bytes_per_s: u32,
    dispatch_ms: u32,
}

impl LinkRoofline {
    pub(super) fn new(roofline: &Roofline) -> Self {
        Self {
            cpu: roofline.cpu.as_ref().map(LinkPeaks::new),
            webgpu: roofline.webgpu.as_ref().map(LinkPeaks::new),
        }
    }

    pub(super) fn roofline(&self) -> Result<Roofline, LinkError> {
        let peaks = |peaks: &Option<LinkPeaks>| peaks.as_ref().map(LinkPeaks::peaks).transpose();
        Ok(Roofline { cpu: peaks(&self.cpu)?, webgpu: peaks(&self.webgpu)? })
    }
}

impl LinkPeaks {
    fn new(peaks: &Peaks) -> Self {
        // Steps fit in 32 bits: 11 of exponent, at most 8 of mantissa.
        let rate = |value: f64| quantise(value, COST, 1.0, MAX_AMOUNT) as u32;
        Self {
            flops_per_s: rate(peaks.flops_per_s),
            bytes_per_s: rate(peaks.bytes_per_s),
            dispatch_ms: quantise(peaks.dispatch_ms, COUNT, 0.0, *TIME_MS.end()) as u32,
        }
    }

    fn peaks(&self) -> Result<Peaks, LinkError> {
        let value = |steps: u32, bits: u32| {
            restore(i64::from(steps), bits).ok_or_else(|| LinkError::content("not a number"))
        };
        Ok(Peaks {
            flops_per_s: value(self.flops_per_s, COST)?,
            bytes_per_s: value(self.bytes_per_s, COST)?,
            dispatch_ms: value(self.dispatch_ms, COUNT)?,
            f16_flops_per_s: None,
            transcendentals_per_s: None,
        })
    }
}

/// Peaks of exponentials per second.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct LinkFunctions {
    cpu: Option<u32>,
    webgpu: Option<u32>,
}

impl LinkFunctions {
    pub(super) fn new(environment: &Environment) -> Self {
        let of = |backend: &str| {
            let rate = environment.roofline.as_ref()?.of(backend)?.transcendentals_per_s?;
            Some(quantise(rate, COST, 1.0, MAX_AMOUNT) as u32)
        };
        Self { cpu: of("cpu"), webgpu: of("webgpu") }
    }

    /// Whether the environment has rates that older versions cannot store.
    pub(super) fn is_needed(environment: &Environment) -> bool {
        let own = Self::new(environment);
        own.cpu.is_some() || own.webgpu.is_some()
    }

    /// Adds the rates to the roofline decoded from the rest of the link.
    pub(super) fn describe(&self, environment: &mut Environment) -> Result<(), LinkError> {
        let (cpu, webgpu) = match &mut environment.roofline {
            Some(Roofline { cpu, webgpu }) => (cpu.as_mut(), webgpu.as_mut()),
            None => (None, None),
        };
        for (steps, peaks) in [(self.cpu, cpu), (self.webgpu, webgpu)] {
            let Some(steps) = steps else { continue };
            let rate = restore(i64::from(steps), COST).ok_or_else(|| LinkError::content("not a number"))?;
            peaks.ok_or_else(|| LinkError::content("a peak of no backend"))?.transcendentals_per_s =
                Some(rate);
        }
        Ok(())
    }
}
