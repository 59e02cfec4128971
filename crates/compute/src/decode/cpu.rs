//! Generation on the CPU.

use std::sync::Arc;

use mixer::{
    Case, CpuDecoder, DecodeMemory, Floats, LaneError, Memory, MixerError, Params, Problem, SpotDraw, System,
    Task, TokenInput, Tokens,
};

use super::generation::{Generation, MOST_INPUTS, feed, stream};
use crate::abandon::unless_cancelled;
use crate::cpu::CpuPool;
use crate::output::{Spotted, finite_sum};

/// One system after one context, prepared for the CPU.
///
/// The answers of the first run are kept. Every later run must end with equal bits, and the check against the f64 reference
/// covers the kept answers.
pub struct CpuDecodeLane {
    generation: Generation,
    decoder: Box<dyn CpuDecoder>,
    memory: DecodeMemory,
    pool: CpuPool,
    /// The next token's inputs, `[batch, width]` each.
    next: Vec<Floats>,
    /// The answer to the last token, `[batch, width]`.
    answer: Floats,
    /// Answers of the first run, `[tokens, batch, width]`.
    answers: Floats,
    /// Inputs of a piece of the context, `[batch, piece, width]` each; empty for a single sequence.
    pieces: Vec<Floats>,
    /// Answers to a piece of the context, `[batch, piece, width]`.
    prompt_answers: Floats,
    /// Tokens generated since the context.
    generated: usize,
    /// Sum of the first run's answers.
    checksum: f64,
}

impl CpuDecodeLane {
    /// Makes a seeded case, fills the state with the context, without answers, and generates once. All time spent here
    /// is set-up time.
    ///
    /// # Errors
    /// Errors of the system; [`MixerError::OutOfMemory`], before any allocation, where the closed form exceeds
    /// `limit_bytes`; [`LaneError::Cancelled`].
    pub fn seeded(
        system: &'static System,
        problem: &Problem,
        params: &Params,
        pool: &CpuPool,
        limit_bytes: u64,
    ) -> Result<Self, LaneError> {
        let needed_bytes = system.cost(problem, params)?.peak_bytes;
        if needed_bytes > limit_bytes {
            return Err(MixerError::OutOfMemory { needed_bytes, limit_bytes }.into());
        }
        let (problem, params) = (*problem, params.clone());
        let case = unless_cancelled(pool.cancel_switch(), move || system.seeded_case(&problem, &params))??;
        let tokens = match problem.task {
            Task::Decode { tokens } => tokens,
            Task::Forward => 0,
        };
        let mut lane = Self::new(system, case, [problem.seq_len, tokens], pool, limit_bytes)?;
        lane.bring_context(false)?;
        lane.record()?;
        Ok(lane)
    }

    /// A lane with an empty state for a given case, of which `tokens` positions will be generated after a context of
    /// `context` positions.
    ///
    /// # Errors
    /// As for [`CpuDecodeLane::seeded`].
    pub fn new(
        system: &'static System,
        case: Case,
        [context, tokens]: [usize; 2],
        pool: &CpuPool,
        limit_bytes: u64,
    ) -> Result<Self, LaneError> {
        let generation = Generation::new(system, case, [context, tokens])?;
        let (case, batch, width) = (&generation.case, generation.batch, generation.width);
        let memory = DecodeMemory::new(&Memory::new(limit_bytes.saturating_sub(case.tensors.bytes())));
        let decoder = system.decoder(case, &memory, pool)?;
        if pool.is_cancelled() {
            return Err(LaneError::Cancelled);
        }
        let rows = |rows: usize| {
            let buffer = |input: &TokenInput| memory.work.floats(rows * input.width);
            generation.inputs.iter().map(buffer).collect::<Result<Vec<_>, _>>()
        };
        let piece = batch * decoder.piece().min(context);
        Ok(Self {
            prompt_answers: memory.work.floats(piece * width)?,
            pieces: if batch > 1 { rows(piece)? } else { Vec::new() },
            next: rows(batch)?,
            answer: memory.work.floats(batch * width)?,
            answers: memory.work.floats(tokens * batch * width)?,
            generation,
            decoder,
            memory,
            pool: pool.clone(),
            generated: 0,
            checksum: 0.0,
        })
    }

    /// The lane's case, with the inputs of the context and the seeded inputs of the positions after it.
    pub fn case(&self) -> &Arc<Case> {
        &self.generation.case
    }

    /// Peak of the bytes held: the case and all buffers.
    pub fn peak_bytes(&self) -> u64 {
        self.case().tensors.bytes() + self.memory.work.peak_bytes()
    }

    /// Bytes of the state, as its own ledger counts them.
    pub fn state_bytes(&self) -> u64 {
        self.memory.state.used_bytes()
    }

    /// Fills an empty state with the context by the parallel form, with every token's answer, and generates nothing: the
    /// work before the first generated token.
    ///
    /// # Errors
    /// [`LaneError::Cancelled`] or the decoder's error.
    pub fn prefill(&mut self) -> Result<(), LaneError> {
        self.bring_context(true)
    }

    /// Every answer from the first position on, `[batch, length, width]`, to the context and to the tokens generated after
    /// it, and the case with their inputs.
    ///
    /// # Errors
    /// As for [`CpuDecodeLane::prefill`].
    pub fn whole(&mut self) -> Result<(Vec<f32>, Case), LaneError> {
        let Generation { batch, context, tokens, width, .. } = self.generation;
        let length = context + tokens;
        let mut whole: Vec<f32> = mixer::zeros(batch * length * width)?;
        self.answer_context(usize::MAX, &mut whole, length)?;
        self.decoder.mark();
        self.record()?;
        for (token, answers) in self.answers.chunks_exact(batch * width).enumerate() {
            for (to, from) in whole.chunks_exact_mut(length * width).zip(answers.chunks_exact(width)) {
                to[(context + token) * width..][..width].copy_from_slice(from);
            }
        }
        Ok((whole, self.generation.generated_case(&self.answers)?))
    }

    /// Every answer to the context, `[batch, context, width]`, by steps of one token.
    ///
    /// # Errors
    /// As for [`CpuDecodeLane::prefill`].
    pub fn token_by_token(&mut self) -> Result<Vec<f32>, LaneError> {
        let context = self.generation.context;
        let mut whole: Vec<f32> = mixer::zeros(self.generation.row() * context)?;
        self.answer_context(1, &mut whole, context)?;
        Ok(whole)
    }

    /// Answers to the context in calls of at most `most` tokens, as the first rows of each sequence of `to`,
    /// `[batch, length, width]`.
    fn answer_context(&mut self, most: usize, to: &mut [f32], length: usize) -> Result<(), LaneError> {
        let Generation { context, width, .. } = self.generation;
        self.decoder.clear();
        while self.decoder.position() < context {
            let first = self.decoder.position();
            let count = self.bring_piece(most, true)?;
            let rows = self.prompt_answers.chunks_exact(count * width);
            for (to, from) in to.chunks_exact_mut(length * width).zip(rows) {
                to[first * width..][..count * width].copy_from_slice(from);
            }
        }
        Ok(())
    }

    /// The answer to the last token, `[batch, width]`.
    pub fn answer(&self) -> &[f32] {
        &self.answer
    }

    /// Fills the last answer with NaN. At the end of the state's capacity it returns to the context, so that this is part of
    /// no timing.
    pub fn spoil(&mut self) {
        self.answer.fill(f32::NAN);
        if self.generated == self.generation.tokens {
            self.rewind();
        }
    }

    /// Returns to the end of the context.
    fn rewind(&mut self) {
        self.decoder.rewind();
        self.generated = 0;
    }

    /// Generates the next `count` tokens, one by one. At the end of the state's capacity it returns to the context. Returns
    /// the first run's checksum.
    ///
    /// # Errors
    /// [`LaneError::NotRepeatable`] where the last answer differs from the first run's; [`LaneError::Cancelled`]; the
    /// decoder's error.
    pub fn run(&mut self, count: usize) -> Result<f64, LaneError> {
        for _ in 0..count {
            if self.generated == self.generation.tokens {
                self.rewind();
            }
            self.step()?;
        }
        let row = self.answer.len();
        let kept = &self.answers[self.generated.saturating_sub(1) * row..][..row];
        let differs = kept.iter().zip(self.answer.iter()).any(|(kept, now)| kept.to_bits() != now.to_bits());
        if differs {
            let sum = |values: &[f32]| values.iter().map(|&value| f64::from(value)).sum();
            return Err(LaneError::NotRepeatable { first: sum(kept), now: sum(&self.answer) });
        }
        Ok(self.checksum)
    }

    /// Compares generated answers with the f64 reference of the forward pass over all tokens, among them the last one.
    ///
    /// # Errors
    /// Errors of the reference; [`LaneError::Cancelled`].
    pub fn spot_check(&self, draw: SpotDraw) -> Result<Spotted, LaneError> {
        self.generation.spot_check(&self.answers, draw, self.pool.cancel_switch())
    }

    /// Brings the whole context in pieces, with or without answers, and marks the state after it.
    fn bring_context(&mut self, with_answers: bool) -> Result<(), LaneError> {
        self.decoder.clear();
        self.generated = 0;
        while self.decoder.position() < self.generation.context {
            self.bring_piece(usize::MAX, with_answers)?;
        }
        self.decoder.mark();
        Ok(())
    }

    /// Brings the context's next tokens, at most `most`, and returns their number. Their answers are at the beginning of
    /// `prompt_answers`.
    fn bring_piece(&mut self, most: usize, with_answers: bool) -> Result<usize, LaneError> {
        let first = self.decoder.position();
        let Generation { batch, context, width, .. } = self.generation;
        let count = self.decoder.piece().min(context - first).min(most);
        let (inputs, tensors) = (&self.generation.inputs, &self.generation.case.tensors);
        let mut slices: [&[f32]; MOST_INPUTS] = [&[]; MOST_INPUTS];
        let mut pieces = self.pieces.iter_mut();
        for (slice, input) in slices.iter_mut().zip(inputs) {
            let (data, len) = (stream(tensors, input)?, count * input.width);
            *slice = match pieces.next() {
                // The tokens of a single sequence are together in the case.
                None => &data[first * input.width..][..len],
                Some(piece) => {
                    let sequences = data.chunks_exact(data.len() / batch);
                    for (to, from) in piece.chunks_exact_mut(len).zip(sequences) {
                        to.copy_from_slice(&from[first * input.width..][..len]);
                    }
                    &piece[..batch * len]
                }
            };
        }
        let inputs = slices.get(..inputs.len()).unwrap_or_default();
        let output = with_answers.then(|| &mut self.prompt_answers[..batch * count * width]);
        self.decoder.advance(Tokens { count, inputs }, output, &self.pool)?;
        if self.pool.is_cancelled() { Err(LaneError::Cancelled) } else { Ok(count) }
    }

    /// Generates one token.
    fn step(&mut self) -> Result<(), LaneError> {
        let Generation { batch, context, width, .. } = self.generation;
        let position = context + self.generated;
        for (input, next) in self.generation.inputs.iter().zip(&mut self.next) {
            let data = stream(&self.generation.case.tensors, input)?;
            let sequences = data.chunks_exact(data.len() / batch);
            let rows = next.chunks_exact_mut(input.width).zip(sequences);
            // The kept answers: equal to those of this run, which began after the last answer was spoiled.
            let before = self.generated.saturating_sub(1) * batch * width;
            for ((next, own), answer) in rows.zip(self.answers[before..].chunks_exact(width)) {
                next.copy_from_slice(&own[position * input.width..][..input.width]);
                if input.fed && self.generated > 0 {
                    feed(next, answer);
                }
            }
        }
        let mut slices: [&[f32]; MOST_INPUTS] = [&[]; MOST_INPUTS];
        slices.iter_mut().zip(&self.next).for_each(|(slice, next)| *slice = next);
        let inputs = slices.get(..self.next.len()).unwrap_or_default();
        self.decoder.advance(Tokens { count: 1, inputs }, Some(&mut self.answer), &self.pool)?;
        self.generated += 1;
        if self.pool.is_cancelled() { Err(LaneError::Cancelled) } else { Ok(()) }
    }

    /// Generates all tokens once and keeps their answers.
    fn record(&mut self) -> Result<(), LaneError> {
        self.rewind();
        for token in 0..self.generation.tokens {
            self.step()?;
            let row = self.answer.len();
            self.answers[token * row..][..row].copy_from_slice(&self.answer);
        }
        self.checksum = finite_sum(&self.answers, 0)?;
        self.spoil();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use mixer::Level;

    use super::*;

    const GIB: u64 = 1 << 30;
    const DRAW: SpotDraw = SpotDraw { seed: 3, max_flops: 1 << 26, first_row: 0 };
    const PROBLEM: Problem = Problem {
        batch: 2,
        seq_len: 200,
        d_model: 32,
        n_heads: 2,
        causal: true,
        level: Level::Layer,
        seed: 5,
        task: Task::Decode { tokens: 40 },
    };

    fn lane(system: &'static System, problem: &Problem) -> Result<CpuDecodeLane, LaneError> {
        CpuDecodeLane::seeded(system, problem, &Params::new(), &CpuPool::new(2).unwrap(), GIB)
    }

    fn decoding() -> impl Iterator<Item = &'static System> {
        kernels::systems().filter(|system| system.decode.is_ok())
    }

    #[test]
    fn every_decoding_system_generates_and_is_checked() {
        for system in decoding() {
            for (level, batch) in [(Level::Core, 1), (Level::Layer, 2)] {
                let made = lane(system, &Problem { level, batch, ..PROBLEM });
                let mut lane = made.unwrap_or_else(|error| panic!("{}: {error}", system.info().id));
                lane.spoil();
                let first = lane.run(3).unwrap();
                // Past the capacity it returns to the context.
                assert_eq!(lane.run(100).unwrap().to_bits(), first.to_bits());
                lane.prefill().unwrap();
                assert_eq!(lane.run(7).unwrap().to_bits(), first.to_bits());
                let Spotted { deviation, check } = lane.spot_check(DRAW).unwrap();
                assert!(deviation.pass, "{} {level:?}: {deviation:?}", system.info().id);
                assert!(check.rows.iter().all(|row| row % 240 >= 200), "{:?}", check.rows);
                let last = |row: usize| row % 240 == 239;
                let columns = check.columns.iter().map(|column| column.first_row + column.expected.len() - 1);
                assert!(check.rows.iter().copied().chain(columns).any(last), "{}", system.info().id);
                assert_eq!(
                    lane.state_bytes(),
                    system
                        .cost(&Problem { level, batch, ..PROBLEM }, &Params::new())
                        .unwrap()
                        .decode_state_bytes
                );
            }
        }
    }

    #[test]
    fn all_answers_are_those_of_the_forward_pass() {
        for system in decoding() {
            let (got, case) = lane(system, &PROBLEM).unwrap().whole().unwrap();
            let want = system.reference(&case).unwrap();
            let deviation = system.info().tolerance.compare_rows(&got, &want, 32);
            assert!(deviation.pass, "{}: {deviation:?}", system.info().id);
        }
    }

    #[test]
    fn every_token_depends_on_the_answer_before_it() {
        let system = kernels::find("cfc").unwrap();
        let lane = lane(system, &Problem { level: Level::Core, ..PROBLEM }).unwrap();
        let case = lane.generation.generated_case(&lane.answers).unwrap();
        let [own, given] = [lane.case(), &case].map(|case| case.tensors.floats("x", &[2, 240, 32]).unwrap());
        let row = |x: &[f32], t: usize| x[t * 32..][..32].to_vec();
        assert_eq!(row(own, 200), row(given, 200));
        for token in 1..40 {
            let answer = &lane.answers[(token - 1) * 64..][..32];
            let fed: Vec<f32> =
                row(own, 200 + token).iter().zip(answer).map(|(x, y)| x + y.clamp(-1.0, 1.0)).collect();
            assert_eq!(row(given, 200 + token), fed);
        }
    }

    #[test]
    fn fault_11_a_changed_answer_is_detected() {
        let system = kernels::find("cfc").unwrap();
        let mut lane = lane(system, &PROBLEM).unwrap();
        let last = lane.answers.len() - 1;
        lane.answers[last] += 0.01;
        assert!(!lane.spot_check(SpotDraw { max_flops: 1 << 30, ..DRAW }).unwrap().deviation.pass);
        assert!(matches!(lane.run(40), Err(LaneError::NotRepeatable { .. })));
    }

    #[test]
    fn systems_without_a_recurrence_say_why() {
        for system in kernels::systems().filter(|system| system.decode.is_err()) {
            let error = lane(system, &PROBLEM).err().unwrap();
            assert!(matches!(error, LaneError::Mixer(MixerError::NoDecode { .. })), "{error}");
        }
    }

    #[test]
    fn fault_06_a_context_longer_than_memory_is_refused_before_it_allocates() {
        let system = kernels::find("cfc").unwrap();
        let problem = Problem { seq_len: 1 << 20, batch: 16, ..PROBLEM };
        let started = Instant::now();
        let error = lane(system, &problem).err().unwrap();
        assert!(matches!(error, LaneError::Mixer(MixerError::OutOfMemory { .. })));
        assert!(started.elapsed() < Duration::from_secs(1));
    }

    #[test]
    fn fault_17_cancel_ends_a_run() {
        let system = kernels::find("cfc").unwrap();
        let mut lane = lane(system, &PROBLEM).unwrap();
        lane.pool.cancel_switch().cancel();
        assert!(matches!(lane.run(10), Err(LaneError::Cancelled)));
        assert!(matches!(lane.prefill(), Err(LaneError::Cancelled)));
        assert!(matches!(lane.spot_check(DRAW), Err(LaneError::Cancelled)));
    }
}
