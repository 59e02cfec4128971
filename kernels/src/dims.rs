//! The sizes of a case, read from its configuration and checked against the ranges of races.

use mixer::{Count, MixerError, Params, Problem, Sizes};

/// `batch`, `length`, `d_model` of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    pub batch: usize,
    pub seq_len: usize,
    pub d_model: usize,
}

impl Dims {
    /// Reads the three sizes.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] where a size is missing or out of range.
    pub fn read(config: &Params) -> Result<Self, MixerError> {
        let dims = Self {
            batch: config.count("batch", 1, Problem::MAX_BATCH)?,
            seq_len: config.count("length", 1, Problem::MAX_PLANNED_SEQ_LEN + Problem::MAX_TOKENS)?,
            d_model: config.count("d_model", 1, Problem::MAX_D_MODEL)?,
        };
        // Alternative names of the width.
        for name in ["hidden_size", "input_size"] {
            config.count_or(name, dims.d_model, dims.d_model, dims.d_model)?;
        }
        Ok(dims)
    }

    /// The sizes for closed forms.
    pub fn sizes(&self) -> Sizes {
        let [batch, seq_len, d_model] = Count::all([self.batch, self.seq_len, self.d_model]);
        Sizes { batch, seq_len, d_model }
    }

    /// `[batch, length, width]`.
    pub fn shape(&self, width: usize) -> [usize; 3] {
        [self.batch, self.seq_len, width]
    }
}

/// Largest relative difference between a stated `scale` and 1/√`d_head`: well above the rounding of a printed double.
const SCALE_ROUNDING: f64 = 1e-6;

/// The number of heads, a divisor of the width. Other keys about the heads (`head_dim`, `scale`) must be consistent
/// with it.
///
/// # Errors
/// [`MixerError::InvalidField`] names the inconsistent key.
pub fn heads(config: &Params, d_model: usize) -> Result<usize, MixerError> {
    let heads = config.count("heads", 1, d_model)?;
    if !d_model.is_multiple_of(heads) {
        return Err(MixerError::invalid("heads", format!("a divisor of the width ({d_model})"), heads));
    }
    let d_head = d_model / heads;
    config.count_or("head_dim", d_head, d_head, d_head)?;
    let scale = (d_head as f64).sqrt().recip();
    let given = config.number_or("scale", scale, f64::MIN, f64::MAX)?;
    if (given - scale).abs() > SCALE_ROUNDING * scale {
        return Err(MixerError::invalid("scale", format!("1/√{d_head}, {scale}"), given));
    }
    Ok(heads)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_divide_the_width_and_agree_with_their_keys() {
        let mut config = Params::new();
        config.set("heads", 4_usize);
        assert_eq!(heads(&config, 64), Ok(4));
        config.set("scale", 0.25);
        config.set("head_dim", 16_usize);
        assert_eq!(heads(&config, 64), Ok(4));
        let field = |config: &Params| match heads(config, 64) {
            Err(MixerError::InvalidField { field, .. }) => field,
            other => panic!("{other:?}"),
        };
        for (name, wrong) in [("scale", 0.125), ("scale", f64::NAN), ("head_dim", 8.0)] {
            let mut wrong_config = config.clone();
            wrong_config.set(name, wrong);
            assert_eq!(field(&wrong_config), name);
        }
        config.set("heads", 5_usize);
        assert_eq!(field(&config), "heads");
    }
}
