//! Decoding: the network goes on from the state of its neurons, whose size does not depend on the number of tokens.

use std::sync::Arc;

use mixer::{Case, DecodeMemory, MixerError, Parallel, PreparedDecoder, TokenInput, Tokens};

use super::Spec;
use super::cpu::{self, Inputs, Maps, Network};
use crate::decoding::{Decoding, FixedState};
use crate::initial_state::initial_states;
use crate::recurrent_decoder::{Recurrent, RecurrentDecoder, timed_inputs};

pub(super) fn inputs(case: &Case) -> Result<Vec<TokenInput>, MixerError> {
    let spec = Spec::read(case)?;
    Ok(timed_inputs(spec.dims.d_model, spec.timespans))
}

pub(super) fn decoder(case: &Arc<Case>, memory: &DecodeMemory, parallel: &dyn Parallel) -> PreparedDecoder {
    let spec = Spec::read(case)?;
    let (dims, len) = (spec.dims, cpu::state_floats(&spec).index());
    let initial = initial_states(&case.tensors, dims.batch, spec.units, spec.mixed_memory)?;
    Maps::read(&spec, case)?;
    let network = Network::new(spec, case, &memory.work, parallel)?;
    let recurrent = CaseNetwork { case: Arc::clone(case), network };
    let state = FixedState::new(memory, len, |to| to.copy_from_slice(&initial))?;
    Ok(Box::new(Decoding::new(dims.seq_len, RecurrentDecoder { recurrent, state })))
}

/// A network with the case that holds the maps of inputs and outputs.
struct CaseNetwork {
    case: Arc<Case>,
    network: Network,
}

impl Recurrent for CaseNetwork {
    fn advance(
        &mut self,
        _position: usize,
        tokens: Tokens<'_>,
        state: &mut [f32],
        output: Option<&mut [f32]>,
        parallel: &dyn Parallel,
    ) -> Result<(), MixerError> {
        let (x, times) = (tokens.inputs[0], tokens.inputs.get(1).copied());
        let maps = Maps::read(&self.network.spec, &self.case)?;
        let inputs = Inputs { length: tokens.count, x, times, maps };
        self.network.advance(&inputs, state, output, parallel);
        Ok(())
    }
}
