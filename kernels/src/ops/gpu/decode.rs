//! Decoding on the GPU: the clock of a run of generated tokens, their inputs and answers, and caches of keys and values.

use mixer::{Access, BufferId, DecodePlan, MixerError, Shader};

use super::builder::Builder;
use super::elementwise::grid;
use super::stream::{Columns, Stream, vectors, word};

const CLOCK: Shader = Shader {
    label: "clock",
    source: wgsl!("ops/gpu/clock.wgsl"),
    entry: "main",
    bindings: &[Access::ReadWrite],
};

const FEED: Shader = Shader {
    label: "feed",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/feed.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::Read, Access::ReadWrite],
};

const ANSWER: Shader = Shader {
    label: "answer",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/answer.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::ReadWrite],
};

const APPEND: Shader = Shader {
    label: "append",
    source: wgsl!("ops/gpu/line.wgsl", "ops/gpu/append.wgsl"),
    entry: "main",
    bindings: &[Access::Read, Access::Read, Access::ReadWrite],
};

/// Sizes of a generation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lengths {
    /// Sequences.
    pub batch: usize,
    /// Tokens of the context.
    pub context: usize,
    /// Tokens generated after it.
    pub tokens: usize,
}

impl Lengths {
    /// Generation after the first `context` of `capacity` positions.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] for a context that is empty or longer than the capacity.
    pub fn new(batch: usize, context: usize, capacity: usize) -> Result<Self, MixerError> {
        match capacity.checked_sub(context) {
            Some(tokens) if context > 0 => Ok(Self { batch, context, tokens }),
            _ => Err(MixerError::invalid("contexts", format!("from 1 to {capacity}"), context)),
        }
    }

    /// Positions of the longest sequence.
    pub fn capacity(self) -> usize {
        self.context + self.tokens
    }
}

/// The clock of a run, on the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Clock {
    /// Words: tokens generated so far, and the position of the next token.
    pub buffer: BufferId,
    /// Sizes of the generation.
    pub lengths: Lengths,
}

impl Clock {
    /// Records a copy of `rows` rows of each sequence of `x` to `cache`, `[batch, capacity]` rows of `width` floats, from the
    /// present position on, or from the beginning. Beyond the capacity it overwrites the oldest rows.
    pub fn append(
        &self,
        builder: &mut Builder,
        (x, rows): (Stream, usize),
        (cache, capacity): (Stream, usize),
        width: usize,
        from_clock: bool,
    ) {
        let items = self.lengths.batch * rows * width / 4;
        builder.dispatch(
            APPEND,
            &[("FROM_CLOCK", f64::from(u8::from(from_clock)))],
            &[
                word(items),
                vectors(width),
                word(rows),
                word(capacity),
                vectors(x.offset),
                vectors(x.stride),
                vectors(cache.offset),
                vectors(cache.stride),
            ],
            &[self.buffer, x.buffer, cache.buffer],
            grid(items),
            items as u64,
        );
    }

    fn rewind(self, builder: &mut Builder) {
        self.dispatch(builder, true);
    }

    fn dispatch(self, builder: &mut Builder, rewind: bool) {
        let start = [0, word(self.lengths.context)];
        builder.dispatch(
            CLOCK,
            &[("REWIND", f64::from(u8::from(rewind)))],
            &start,
            &[self.buffer],
            [1, 1, 1],
            1,
        );
    }
}

/// A plan of decoding under construction.
#[derive(Debug)]
pub struct Decoding {
    /// The clock.
    pub clock: Clock,
    answers: BufferId,
    width: usize,
    fed: bool,
    plan: DecodePlan,
}

/// An input of the tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Input {
    /// Rows of the context, `[batch, context]`.
    pub prompt: Stream,
    /// The next generated token's rows, `[batch]`.
    pub next: Stream,
    own: Stream,
    columns: Columns,
    fed: bool,
}

impl Decoding {
    /// Answers have `width` columns. `fed`: whether they are fed back into the next token.
    pub fn new(builder: &mut Builder, lengths: Lengths, width: usize, fed: bool) -> Self {
        let buffer = builder.upload_words("clock", vec![0, word(lengths.context)]);
        let answers = builder.scratch("answers", lengths.tokens * lengths.batch * width);
        Self { clock: Clock { buffer, lengths }, answers, width, fed, plan: DecodePlan::default() }
    }

    /// Uploads an input, `[batch, capacity, columns.len()]`.
    pub fn input(
        &self,
        builder: &mut Builder,
        name: &'static str,
        data: &[f32],
        columns: Columns,
        fed: bool,
    ) -> Input {
        let Lengths { batch, context, tokens } = self.clock.lengths;
        let row = columns.len();
        let sequences = || data.chunks_exact((context + tokens) * row);
        let prompt: Vec<f32> = sequences().flat_map(|sequence| &sequence[..context * row]).copied().collect();
        let token =
            |token: usize| sequences().flat_map(move |sequence| &sequence[(context + token) * row..][..row]);
        let own: Vec<f32> = (0..tokens).flat_map(token).copied().collect();
        Input {
            prompt: builder.upload(name, &prompt, columns),
            own: builder.upload("own inputs", &own, columns),
            next: builder.stream("next input", batch, columns),
            columns,
            fed: fed && self.fed,
        }
    }

    /// Records the state's filling from the context, without outputs.
    pub fn fill(&mut self, builder: &mut Builder, record: impl FnOnce(&mut Builder)) {
        let start = builder.recorded();
        record(builder);
        self.clock.rewind(builder);
        self.plan.fill = start..builder.recorded();
    }

    /// Records the filling with all outputs, whose rows, `[batch, context]`, `record` returns.
    pub fn prefill(&mut self, builder: &mut Builder, record: impl FnOnce(&mut Builder) -> BufferId) {
        let start = builder.recorded();
        self.plan.prompt_output = Some(record(builder));
        self.clock.rewind(builder);
        self.plan.prefill = start..builder.recorded();
    }

    /// Records the return to the end of the context; `record` restores what the clock does not.
    pub fn rewind(&mut self, builder: &mut Builder, record: impl FnOnce(&mut Builder)) {
        let start = builder.recorded();
        record(builder);
        self.clock.rewind(builder);
        self.plan.rewind = start..builder.recorded();
    }

    /// Records one token: its inputs, the work of `record`, which returns the answer's rows, `[batch]`, and the next position.
    ///
    /// # Errors
    /// Errors of `record`.
    pub fn step(
        &mut self,
        builder: &mut Builder,
        inputs: &[Input],
        record: impl FnOnce(&mut Builder) -> Result<(Stream, Columns), MixerError>,
    ) -> Result<(), MixerError> {
        let batch = self.clock.lengths.batch;
        let start = builder.recorded();
        for input in inputs {
            let items = batch * input.columns.stride();
            builder.dispatch(
                FEED,
                &[("FED", f64::from(u8::from(input.fed)))],
                &[
                    word(items),
                    word(input.columns.stride()),
                    word(input.columns.width),
                    word(input.columns.run()),
                    word(self.width),
                ],
                &[self.clock.buffer, input.own.buffer, self.answers, input.next.buffer],
                grid(items),
                items as u64,
            );
        }
        let (answer, columns) = record(builder)?;
        let items = batch * columns.len();
        builder.dispatch(
            ANSWER,
            &[],
            &[
                word(items),
                word(columns.len()),
                word(columns.width),
                word(columns.run()),
                word(answer.offset),
                word(answer.stride),
            ],
            &[self.clock.buffer, answer.buffer, self.answers],
            grid(items),
            items as u64,
        );
        self.clock.dispatch(builder, false);
        self.plan.step = start..builder.recorded();
        Ok(())
    }

    /// The finished plan, with the buffers `state` as its state.
    ///
    /// # Errors
    /// As for [`Builder::finish`].
    pub fn finish(self, builder: Builder, state: &[BufferId]) -> Result<DecodePlan, MixerError> {
        Ok(DecodePlan { plan: builder.finish(self.answers)?, state: state.to_vec(), ..self.plan })
    }
}
