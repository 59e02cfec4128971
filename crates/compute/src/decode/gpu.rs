//! Generation on the GPU: the state stays on the device, and a run of tokens is recorded without reading anything back.

use std::ops::Range;
use std::sync::Arc;

use mixer::{Case, DecodePlan, Finished, LaneError, SpotDraw};

use super::generation::Generation;
use crate::CancelSwitch;
use crate::gpu::{Gpu, GpuLane};
use crate::output::{Spotted, finite_sum};

/// One system after one context, prepared on a device.
pub struct GpuDecodeLane {
    generation: Generation,
    lane: GpuLane,
    /// The sections of the plan, whose work the lane has.
    sections: DecodePlan,
    /// Answers of the first run, `[tokens, batch, width]`.
    answers: Vec<f32>,
    /// Their sum.
    checksum: f64,
    /// Tokens generated since the context.
    generated: usize,
    state_bytes: u64,
}

impl GpuDecodeLane {
    /// Allocates and compiles, fills the state with the context, without its answers, and generates once.
    ///
    /// # Errors
    /// As for [`GpuLane::new`] and [`GpuLane::run`].
    pub(crate) async fn new(
        gpu: &Gpu,
        generation: Generation,
        mut sections: DecodePlan,
        cancel: &CancelSwitch,
    ) -> Result<Self, LaneError> {
        let state_bytes = sections.state_bytes();
        let lane = GpuLane::new(gpu, std::mem::take(&mut sections.plan), cancel).await?;
        let mut lane = Self {
            generation,
            lane,
            sections,
            answers: Vec::new(),
            checksum: 0.0,
            generated: 0,
            state_bytes,
        };
        lane.section(|sections| &sections.fill).await?;
        lane.record().await?;
        Ok(lane)
    }

    pub(crate) fn case(&self) -> &Arc<Case> {
        &self.generation.case
    }

    pub(crate) fn device_bytes(&self) -> u64 {
        self.lane.device_bytes()
    }

    pub(crate) fn state_bytes(&self) -> u64 {
        self.state_bytes
    }

    /// Fills an empty state with the context, with every answer.
    pub(crate) async fn prefill(&mut self) -> Result<(), LaneError> {
        self.generated = 0;
        self.section(|sections| &sections.prefill).await
    }

    /// Fills the answers to the next tokens with NaN. At the end of the state's capacity it returns to the context.
    pub(crate) async fn spoil(&mut self) -> Result<(), LaneError> {
        if self.generated == self.generation.tokens {
            self.rewind().await?;
        }
        self.lane.spoil_from(self.generated * self.generation.row()).await
    }

    /// Returns to the end of the context.
    async fn rewind(&mut self) -> Result<(), LaneError> {
        self.generated = 0;
        self.section(|sections| &sections.rewind).await
    }

    /// Generates the next `count` tokens. At the end of the state's capacity it returns to the context. The last token's answer is read
    /// back when all work is finished.
    ///
    /// # Errors
    /// As for [`GpuLane::run`], and [`LaneError::NotRepeatable`] where the last answer differs from the first run's.
    pub(crate) async fn run(&mut self, count: usize) -> Result<Finished, LaneError> {
        let mut left = count;
        let mut is_whole = true;
        loop {
            if self.generated == self.generation.tokens {
                self.rewind().await?;
            }
            let now = left.min(self.generation.tokens - self.generated);
            left -= now;
            self.generated += now;
            let row = self.generation.row();
            let last = (self.generated - 1) * row;
            self.lane.probe_at(last, row);
            let step = self.sections.step.clone();
            let finished = self.lane.run_steps(step, now, left == 0).await?;
            if left > 0 {
                is_whole = false;
                continue;
            }
            // The device's timestamps are those of the last part of a run.
            let finished = Finished { device_ns: finished.device_ns.filter(|_| is_whole), ..finished };
            // Before the first run is complete there is nothing to compare with.
            let Some(kept) = self.answers.get(last..last + row) else { return Ok(finished) };
            let first = finite_sum(&kept[..self.lane.probed_words().min(row)], last)?;
            if first.to_bits() != finished.checksum.to_bits() {
                return Err(LaneError::NotRepeatable { first, now: finished.checksum });
            }
            return Ok(Finished { checksum: self.checksum, ..finished });
        }
    }

    /// Every answer, `[batch, length, width]`, to the context and to the tokens generated after it, and the case with their
    /// inputs.
    pub(crate) async fn whole(&mut self) -> Result<(Vec<f32>, Case), LaneError> {
        let Generation { batch, context, tokens, width, .. } = self.generation;
        self.prefill().await?;
        let prompt = match self.sections.prompt_output {
            Some(id) => self.lane.contents(id, batch * context * width).await?,
            None => Vec::new(),
        };
        self.record().await?;
        let mut whole = Vec::with_capacity(batch * (context + tokens) * width);
        for sequence in 0..batch {
            whole.extend(prompt.chunks_exact(context * width).nth(sequence).unwrap_or_default());
            let token = |answers: &[f32]| answers[sequence * width..][..width].to_vec();
            whole.extend(self.answers.chunks_exact(batch * width).flat_map(token));
        }
        Ok((whole, self.generation.generated_case(&self.answers)?))
    }

    /// Compares generated answers with the f64 reference of the forward pass over all tokens.
    pub(crate) fn spot_check(&self, draw: SpotDraw) -> Result<Spotted, LaneError> {
        self.generation.spot_check(&self.answers, draw, self.lane.cancel_switch())
    }

    /// The answers of the last run.
    pub(crate) async fn output(&self) -> Result<Vec<f32>, LaneError> {
        self.lane.output().await
    }

    /// Generates all tokens once and keeps their answers.
    async fn record(&mut self) -> Result<(), LaneError> {
        if self.generation.tokens == 0 {
            return Ok(());
        }
        self.answers.clear();
        self.rewind().await?;
        self.spoil().await?;
        self.run(self.generation.tokens).await?;
        let answers = self.lane.output().await?;
        self.checksum = finite_sum(&answers, 0)?;
        self.answers = answers;
        self.spoil().await
    }

    async fn section(&mut self, of: impl Fn(&DecodePlan) -> &Range<usize>) -> Result<(), LaneError> {
        let steps = of(&self.sections).clone();
        self.lane.run_steps(steps, 1, false).await.map(|_| ())
    }
}

#[cfg(test)]
mod tests {
    use mixer::{Backend, Executor, LaneSpec, Level, Params, Problem, Task};
    use pollster::block_on;

    use crate::{Host, Machine, MachineOptions};

    const PROBLEM: Problem = Problem {
        batch: 1,
        seq_len: 100,
        d_model: 32,
        n_heads: 2,
        causal: true,
        level: Level::Layer,
        seed: 5,
        task: Task::Decode { tokens: 24 },
    };

    /// Every decoder of a GPU: all answers equal the reference of the forward pass, every run repeats the first, and the check
    /// of the answers passes.
    #[test]
    fn every_decoder_generates_and_is_checked() {
        let mut machine = block_on(Machine::new(MachineOptions::new(Host::native(), kernels::find))).unwrap();
        if let Err(error) = machine.gpu() {
            eprintln!("GPU TEST SKIPPED: {error}");
            return;
        }
        let decodes =
            |system: &&mixer::System| system.decode.as_ref().is_ok_and(|decode| decode.gpu.is_some());
        for system in kernels::systems().filter(decodes) {
            let id = system.info().id;
            let spec = LaneSpec { system: id.to_owned(), backend: Backend::WebGpu, params: Params::new() };
            for (level, batch, seq_len, d_model, n_heads) in [
                (Level::Core, 1, 1, 8, 1),
                (Level::Layer, 1, 100, 32, 2),
                (Level::Core, 3, 63, 30, 3),
                (Level::Layer, 2, 700, 40, 2),
                (Level::Core, 1, 2500, 64, 1),
                (Level::Core, 1, 70, 300, 1),
            ] {
                let problem = Problem { level, batch, seq_len, d_model, n_heads, ..PROBLEM };
                let verified = block_on(machine.verify(&spec, &problem)).unwrap();
                assert!(verified.deviation.pass, "{id} {problem:?}: {verified:?}");
                let (mut lane, _) = block_on(machine.prepare(&spec, &problem)).unwrap();
                let run = |machine: &mut Machine, lane: &mut crate::Lane, tokens| {
                    block_on(machine.run(lane, tokens)).unwrap().checksum.to_bits()
                };
                let first = run(&mut machine, &mut lane, 1);
                for tokens in [3, 20, 24, 50] {
                    assert_eq!(run(&mut machine, &mut lane, tokens), first, "{id} {problem:?}");
                }
                block_on(machine.prefill(&mut lane)).unwrap();
                assert_eq!(run(&mut machine, &mut lane, 24), first);
                block_on(machine.spoil(&mut lane)).unwrap();
                assert_eq!(run(&mut machine, &mut lane, 7), first);
                assert!(block_on(machine.check(&mut lane)).unwrap().deviation.pass, "{id} {problem:?}");
                assert!(machine.state_bytes(&lane).unwrap() > 0);
            }
        }
    }
}
