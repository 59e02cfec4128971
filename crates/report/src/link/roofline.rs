//! The machine's measured roofline in a link: what version 2 adds to a report.

use serde::{Deserialize, Serialize};

use super::LinkError;
use super::numbers::{COST, COUNT, quantise, restore};
use crate::validate::{MAX_AMOUNT, TIME_MS};
use crate::{Peaks, Roofline};

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
