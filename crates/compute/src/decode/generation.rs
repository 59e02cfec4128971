//! Generation on either backend: how a token's inputs follow from the answer before it, and how answers are checked.

use std::sync::Arc;

use mixer::{Case, LaneError, MixerError, SpotCheck, SpotDraw, System, Tensor, Tensors, TokenInput};

use crate::CancelSwitch;
use crate::abandon::unless_cancelled;
use crate::output::{Spotted, Spotting};
use crate::spot::spot_check;

/// Factor by which the operations of a check grow while it covers no generated token.
const MORE_FLOPS: u64 = 8;

/// Most operations of a check, enough for a few channels at the longest contexts.
const MOST_FLOPS: u64 = 1 << 36;

/// Most inputs of a token: a step lists them without allocating.
pub(super) const MOST_INPUTS: usize = 8;

/// A context and the tokens generated after it.
///
/// Token s + 1 of a run is the case's own input at its position plus the answer to token s, limited to ±1: it cannot be
/// computed ahead, and it is the same function for every system.
#[derive(Debug, Clone)]
pub struct Generation {
    pub(super) system: &'static System,
    pub(super) case: Arc<Case>,
    pub(super) inputs: Vec<TokenInput>,
    pub(super) batch: usize,
    /// Tokens of the context.
    pub(super) context: usize,
    /// Tokens generated after it.
    pub(super) tokens: usize,
    /// Columns of an answer.
    pub(super) width: usize,
}

impl Generation {
    /// Generation of `tokens` tokens after the first `context` positions of `case`.
    ///
    /// # Errors
    /// [`MixerError::NoDecode`], or an error of the case.
    pub(crate) fn new(
        system: &'static System,
        case: Case,
        [context, tokens]: [usize; 2],
    ) -> Result<Self, LaneError> {
        case.tensors.check_finite()?;
        let mut inputs = system.token_inputs(&case)?;
        inputs.truncate(MOST_INPUTS);
        let width = system.answer_width(&case)?;
        let length = case.config.count_or("length", 1, 1, usize::MAX)?;
        let batch = case.config.count_or("batch", 1, 1, usize::MAX)?;
        // Decoders take tokens of any source and check the weights alone.
        for input in &inputs {
            let expected = vec![batch, length, input.width];
            // A tensor of one number a token may lack the last dimension.
            if stream(&case.tensors, input)?.len() != expected.iter().product::<usize>() {
                let (name, got) = (input.name.to_owned(), shape(&case.tensors, input));
                return Err(MixerError::TensorShape { name, expected, got }.into());
            }
        }
        Ok(Self { system, case: Arc::new(case), inputs, batch, context, tokens, width })
    }

    pub(crate) fn case(&self) -> &Arc<Case> {
        &self.case
    }

    /// Numbers of one token's answers, `[batch, width]`.
    pub(super) fn row(&self) -> usize {
        self.batch * self.width
    }

    /// The case with the inputs of the generated tokens, whose outputs are defined as for decoding. `answers` is
    /// `[tokens, batch, width]`.
    pub(super) fn generated_case(&self, answers: &[f32]) -> Result<Case, LaneError> {
        let mut case = Case::clone(&self.case);
        case.config.set("decode", true);
        for input in self.inputs.iter().filter(|input| input.fed) {
            let mut data = stream(&self.case.tensors, input)?.to_vec();
            let len = data.len() / self.batch;
            for (token, answers) in
                answers.chunks_exact(self.row()).take(self.tokens.saturating_sub(1)).enumerate()
            {
                let at = (self.context + token + 1) * input.width;
                let sequences = data.chunks_exact_mut(len).zip(answers.chunks_exact(self.width));
                for (own, answer) in sequences {
                    feed(&mut own[at..][..input.width], answer);
                }
            }
            case.tensors.insert(input.name, &shape(&self.case.tensors, input), data);
        }
        Ok(case)
    }

    /// Compares answers, `[tokens, batch, width]`, with the f64 reference of the forward pass over all tokens, among them
    /// the last one.
    pub(super) fn spot_check(
        &self,
        answers: &[f32],
        mut draw: SpotDraw,
        cancel: &CancelSwitch,
    ) -> Result<Spotted, LaneError> {
        draw.first_row = self.context;
        let (system, context) = (self.system, self.context);
        let length = context + self.tokens;
        let case = self.generated_case(answers)?;
        let check = unless_cancelled(cancel, move || {
            loop {
                let check = later_parts(spot_check(system, &case, draw)?, context, length);
                if !check.is_empty() || draw.max_flops >= MOST_FLOPS {
                    return Ok::<_, MixerError>(check);
                }
                draw.max_flops = draw.max_flops.saturating_mul(MORE_FLOPS).min(MOST_FLOPS);
            }
        })??;
        let mut spotting = Spotting::new(&check);
        for (token, answers) in answers.chunks_exact(self.row()).enumerate() {
            for (sequence, row) in answers.chunks_exact(self.width).enumerate() {
                spotting.visit((sequence * length + context + token) * self.width, row);
            }
        }
        let deviation = spotting.finish(system)?;
        Ok(Spotted { deviation, check })
    }
}

/// Adds the answer to the token before, limited to ±1, to a token's own input. A wider input takes the answer several times, a
/// narrower one its first columns.
pub(super) fn feed(input: &mut [f32], answer: &[f32]) {
    let answer = answer.iter().cycle();
    input.iter_mut().zip(answer).for_each(|(input, answer)| *input += answer.clamp(-1.0, 1.0));
}

/// The rows and columns of a check that lie at or after position `first` of their sequence.
fn later_parts(check: SpotCheck, first: usize, length: usize) -> SpotCheck {
    let width = check.width;
    let rows = check.rows.iter().zip(check.expected.chunks(width.max(1)));
    let (rows, expected): (Vec<usize>, Vec<&[f64]>) = rows.filter(|(row, _)| **row % length >= first).unzip();
    let columns = check.columns.into_iter().filter_map(|mut column| {
        let start = column.first_row - column.first_row % length + first;
        let skipped = start.saturating_sub(column.first_row);
        if skipped >= column.expected.len() {
            return None;
        }
        column.expected.drain(..skipped);
        column.first_row += skipped;
        Some(column)
    });
    SpotCheck { width, rows, expected: expected.concat(), columns: columns.collect() }
}

pub(super) fn stream<'a>(tensors: &'a Tensors, input: &TokenInput) -> Result<&'a [f32], MixerError> {
    match tensors.get(input.name) {
        Some(Tensor::F32 { data, .. }) => Ok(data),
        _ => Err(MixerError::MissingTensor { name: input.name.to_owned() }),
    }
}

fn shape(tensors: &Tensors, input: &TokenInput) -> Vec<usize> {
    tensors.get(input.name).map(|tensor| tensor.shape().to_vec()).unwrap_or_default()
}
