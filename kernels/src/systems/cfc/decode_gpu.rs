//! Decoding on the GPU: a chunk of one step from the present state.

use mixer::{Case, DecodePlan, Generate, GpuTarget, MixerError};

use super::Spec;
use super::gpu::Device;
use crate::ops::gpu::Builder;
use crate::recurrent_plan;

pub(super) fn plan(case: &Case, generate: Generate, target: &GpuTarget) -> Result<DecodePlan, MixerError> {
    let spec = Spec::read(case)?;
    let mut builder = Builder::new(target);
    let network = Device::upload(&mut builder, &spec, case)?;
    let streams = (spec.input(&case.tensors)?, spec.times(&case.tensors)?);
    recurrent_plan::decode(builder, &network, spec.dims, generate, streams)
}
