//! The part of a report that link version 3 adds: further facts about the GPU.

use serde::{Deserialize, Serialize};

use super::LinkError;
use super::list::{KERNELS, List};
use super::numbers::{COST, quantise, restore};
use super::roofline::LinkRoofline;
use crate::validate::MAX_AMOUNT;
use crate::{ChosenKernel, Environment};

#[derive(Serialize, Deserialize)]
pub(super) struct LinkDevice {
    roofline: Option<LinkRoofline>,
    f16_flops_per_s: Option<u32>,
    kernels: List<LinkKernel, KERNELS>,
}

#[derive(Serialize, Deserialize)]
struct LinkKernel {
    kernel: String,
    d_head: u32,
    variant: String,
    /// Bits: causal, measured.
    flags: u8,
}

impl LinkDevice {
    pub(super) fn new(environment: &Environment) -> Self {
        let kernels = environment.gpu.iter().flat_map(|gpu| &gpu.kernels).map(LinkKernel::new).collect();
        let rate = |value: f64| quantise(value, COST, 1.0, MAX_AMOUNT) as u32;
        Self {
            roofline: environment.roofline.as_ref().map(LinkRoofline::new),
            f16_flops_per_s: f16_of(environment).map(rate),
            kernels,
        }
    }

    /// Whether the environment has facts that older versions cannot store.
    pub(super) fn is_needed(environment: &Environment) -> bool {
        f16_of(environment).is_some() || environment.gpu.as_ref().is_some_and(|gpu| !gpu.kernels.is_empty())
    }

    pub(super) fn describe(&self, environment: &mut Environment) -> Result<(), LinkError> {
        environment.roofline = self.roofline.as_ref().map(LinkRoofline::roofline).transpose()?;
        if let Some(steps) = self.f16_flops_per_s {
            let rate = restore(i64::from(steps), COST).ok_or_else(|| LinkError::content("not a number"))?;
            let peaks = environment.roofline.as_mut().and_then(|roofline| roofline.webgpu.as_mut());
            peaks.ok_or_else(|| LinkError::content("a peak of no GPU"))?.f16_flops_per_s = Some(rate);
        }
        if !self.kernels.is_empty() {
            let gpu = environment.gpu.as_mut().ok_or_else(|| LinkError::content("kernels of no GPU"))?;
            gpu.kernels = self.kernels.iter().map(LinkKernel::chosen).collect::<Result<_, _>>()?;
        }
        Ok(())
    }
}

impl LinkKernel {
    fn new(chosen: &ChosenKernel) -> Self {
        Self {
            kernel: chosen.kernel.clone(),
            d_head: chosen.d_head,
            variant: chosen.variant.clone(),
            flags: u8::from(chosen.causal) | u8::from(chosen.measured) << 1,
        }
    }

    fn chosen(&self) -> Result<ChosenKernel, LinkError> {
        if self.flags >> 2 != 0 {
            return Err(LinkError::content("a kernel of a newer version"));
        }
        Ok(ChosenKernel {
            kernel: self.kernel.clone(),
            d_head: self.d_head,
            causal: self.flags & 1 == 1,
            variant: self.variant.clone(),
            measured: self.flags & 2 == 2,
        })
    }
}

/// The GPU's peak f16 rate.
fn f16_of(environment: &Environment) -> Option<f64> {
    environment.roofline?.webgpu?.f16_flops_per_s
}
