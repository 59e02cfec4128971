//! Steps of decoding.

use std::rc::Rc;
use std::sync::Arc;

use mixer::{
    Case, CpuDecoder, DecodeMemory, Level, Memory, MixerError, Parallel, Params, Problem, Task, Tensor,
    TokenInput, Tokens,
};

use crate::workload::{HEADS, WIDTH, Workload, ends};

/// Generated tokens.
const TOKENS: usize = 256;

/// Tokens after the context before the step that takes longest where blocks are added: it completes the largest one.
const BEFORE_WORST: usize = TOKENS / 2 - 1;

/// [`TOKENS`] steps after a context of `context` tokens, or the longest step alone, for the system and the method that
/// `name` joins by a hyphen.
pub(crate) fn generation(
    name: &str,
    context: usize,
    options: &[&str],
    parallel: Rc<dyn Parallel>,
) -> Result<Workload, MixerError> {
    let mut params = Params::new();
    let (system, method) = match name.rsplit_once('-') {
        Some((system, method @ ("direct" | "online"))) => (system, Some(method)),
        _ => (name, None),
    };
    if let Some(method) = method {
        params.set("decode_method", method);
    }
    let system = kernels::find(system)?;
    let problem = Problem {
        batch: 1,
        seq_len: context,
        d_model: WIDTH,
        n_heads: HEADS,
        causal: true,
        level: if options.contains(&"layer") { Level::Layer } else { Level::Core },
        seed: 1,
        task: Task::Decode { tokens: TOKENS },
    };
    let case = Arc::new(system.seeded_case(&problem, &params)?);
    let inputs = system.token_inputs(&case)?;
    let memory = DecodeMemory::new(&Memory::new(u64::MAX));
    let decoder = system.decoder(&case, &memory, &*parallel)?;
    let mut generation = Generation { case, inputs, decoder, parallel, output: vec![0.0; WIDTH] };
    while generation.decoder.position() < context {
        generation.advance((context - generation.decoder.position()).min(generation.decoder.piece()))?;
    }
    let steps = if options.contains(&"worst") {
        for _ in 0..BEFORE_WORST {
            generation.advance(1)?;
        }
        1
    } else {
        TOKENS
    };
    generation.decoder.mark();
    Ok(Workload {
        flops: system.cost(&problem, &params)?.bytes as f64 * steps as f64,
        run: Box::new(move || {
            generation.decoder.rewind();
            (0..steps).map(|_| generation.advance(1)).sum()
        }),
    })
}

/// A decoder with the tokens of its case.
struct Generation {
    case: Arc<Case>,
    inputs: Vec<TokenInput>,
    decoder: Box<dyn CpuDecoder>,
    parallel: Rc<dyn Parallel>,
    output: Vec<f32>,
}

impl Generation {
    /// Absorbs the next `count` tokens. Only a single token is answered.
    fn advance(&mut self, count: usize) -> Result<f32, MixerError> {
        let first = self.decoder.position();
        let slices = self.inputs.iter().map(|input| match self.case.tensors.get(input.name) {
            Some(Tensor::F32 { data, .. }) => Ok(&data[first * input.width..][..count * input.width]),
            _ => Err(MixerError::MissingTensor { name: input.name.to_owned() }),
        });
        let slices = slices.collect::<Result<Vec<_>, _>>()?;
        let output = if count == 1 { Some(&mut self.output[..]) } else { None };
        self.decoder.advance(Tokens { count, inputs: &slices }, output, &*self.parallel)?;
        Ok(ends(&self.output))
    }
}
