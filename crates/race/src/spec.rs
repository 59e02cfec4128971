//! Valid ranges of a race's specification. Page, links and command line share this validator; it names fields as the
//! public API does.

use mixer::{MixerError, Problem};

use crate::RaceSpec;

impl RaceSpec {
    /// Least budget of a race.
    pub const MIN_BUDGET_NS: u64 = 100_000_000;
    /// Largest budget of a race: a day.
    pub const MAX_BUDGET_NS: u64 = 86_400_000_000_000;

    /// Sorts the lengths, drops duplicates and validates every field.
    ///
    /// # Errors
    /// As for [`RaceSpec::validate`].
    pub fn normalized(mut self) -> Result<Self, MixerError> {
        self.lengths.sort_unstable();
        self.lengths.dedup();
        self.validate()?;
        Ok(self)
    }

    /// The name of the field that holds the lengths, as users write it.
    pub fn lengths_field(&self) -> &'static str {
        self.task.lengths_field()
    }

    /// Checks every field.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] names the first field that is out of range, as in the public API: `systems`,
    /// `lengths` or `contexts`, `tokens`, `causal`, `width`, `heads`, `batch`, `budgetMs`.
    pub fn validate(&self) -> Result<(), MixerError> {
        if !(1..=Self::MAX_LANES).contains(&self.lanes.len()) {
            return Err(MixerError::invalid(
                "systems",
                format!("from 1 to {} lanes", Self::MAX_LANES),
                self.lanes.len(),
            ));
        }
        for (index, lane) in self.lanes.iter().enumerate() {
            if self.lanes.iter().take(index).any(|other| other == lane) {
                return Err(MixerError::invalid(
                    "systems",
                    "lanes that differ in system, backend or parameters",
                    format!("{} on {} twice", lane.system, lane.backend.name()),
                ));
            }
        }
        if !(1..=Self::MAX_LENGTHS).contains(&self.lengths.len()) {
            return Err(MixerError::invalid(
                self.lengths_field(),
                format!("from 1 to {} lengths", Self::MAX_LENGTHS),
                self.lengths.len(),
            ));
        }
        if self.lengths.windows(2).any(|pair| matches!(pair, [a, b] if a >= b)) {
            return Err(MixerError::invalid(
                self.lengths_field(),
                "ascending and distinct",
                format!("{:?}", self.lengths),
            ));
        }
        for &seq_len in &self.lengths {
            self.problem(seq_len).validate()?;
        }
        if !(Self::MIN_BUDGET_NS..=Self::MAX_BUDGET_NS).contains(&self.budget_ns) {
            return Err(MixerError::invalid(
                "budgetMs",
                format!("from {} to {}", Self::MIN_BUDGET_NS / 1_000_000, Self::MAX_BUDGET_NS / 1_000_000),
                self.budget_ns as f64 / 1e6,
            ));
        }
        Ok(())
    }

    /// The problem at one length.
    pub fn problem(&self, seq_len: usize) -> Problem {
        Problem {
            batch: self.batch,
            seq_len,
            d_model: self.d_model,
            n_heads: self.n_heads,
            causal: self.causal,
            level: self.level,
            seed: self.seed,
            task: self.task,
        }
    }
}

#[cfg(test)]
mod tests {
    use mixer::{Backend, LaneSpec, Level, Params, Task};

    use super::*;

    fn lane(system: &str) -> LaneSpec {
        LaneSpec { system: system.to_owned(), backend: Backend::Cpu, params: Params::new() }
    }

    fn spec() -> RaceSpec {
        RaceSpec {
            lanes: vec![lane("attention"), lane("hyena")],
            lengths: vec![256, 512],
            d_model: 256,
            n_heads: 4,
            batch: 1,
            causal: true,
            level: Level::Layer,
            budget_ns: 60_000_000_000,
            seed: 1,
            task: Task::Forward,
        }
    }

    fn field_of(spec: RaceSpec) -> String {
        match spec.normalized() {
            Err(MixerError::InvalidField { field, .. }) => field,
            other => panic!("expected an invalid field, got {other:?}"),
        }
    }

    #[test]
    fn sorts_and_deduplicates_lengths() {
        let spec = RaceSpec { lengths: vec![512, 256, 512, 1], ..spec() }.normalized().unwrap();
        assert_eq!(spec.lengths, [1, 256, 512]);
        assert!(RaceSpec { lengths: vec![512, 256], ..spec }.validate().is_err());
    }

    #[test]
    fn names_the_field_that_is_out_of_range() {
        assert_eq!(spec().validate(), Ok(()));
        assert_eq!(field_of(RaceSpec { lanes: Vec::new(), ..spec() }), "systems");
        let many = (0..=RaceSpec::MAX_LANES).map(|index| lane(&index.to_string())).collect();
        assert_eq!(field_of(RaceSpec { lanes: many, ..spec() }), "systems");
        assert_eq!(field_of(RaceSpec { lanes: vec![lane("hyena"), lane("hyena")], ..spec() }), "systems");
        assert_eq!(field_of(RaceSpec { lengths: Vec::new(), ..spec() }), "lengths");
        assert_eq!(field_of(RaceSpec { lengths: (1..=33).collect(), ..spec() }), "lengths");
        assert_eq!(field_of(RaceSpec { lengths: vec![0, 256], ..spec() }), "lengths");
        assert_eq!(field_of(RaceSpec { lengths: vec![usize::MAX], ..spec() }), "lengths");
        assert_eq!(field_of(RaceSpec { n_heads: 3, ..spec() }), "heads");
        assert_eq!(field_of(RaceSpec { d_model: 0, ..spec() }), "width");
        assert_eq!(field_of(RaceSpec { batch: 0, ..spec() }), "batch");
        assert_eq!(field_of(RaceSpec { budget_ns: 0, ..spec() }), "budgetMs");
        assert_eq!(field_of(RaceSpec { budget_ns: u64::MAX, ..spec() }), "budgetMs");
    }

    #[test]
    fn decoding_names_its_own_fields() {
        let decode = RaceSpec { task: Task::Decode { tokens: 64 }, ..spec() };
        assert_eq!(decode.validate(), Ok(()));
        assert_eq!(decode.problem(256).capacity(), 320);
        assert_eq!(field_of(RaceSpec { lengths: vec![0], ..decode.clone() }), "contexts");
        assert_eq!(field_of(RaceSpec { lengths: Vec::new(), ..decode.clone() }), "contexts");
        assert_eq!(field_of(RaceSpec { causal: false, ..decode.clone() }), "causal");
        assert_eq!(field_of(RaceSpec { task: Task::Decode { tokens: 0 }, ..decode }), "tokens");
    }

    #[test]
    fn the_same_system_may_race_on_two_backends() {
        let gpu = LaneSpec { backend: Backend::WebGpu, ..lane("hyena") };
        assert_eq!(RaceSpec { lanes: vec![lane("hyena"), gpu], ..spec() }.validate(), Ok(()));
    }
}
