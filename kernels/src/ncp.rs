//! Sparse wirings of neural circuit policies (Lechner et al., Nature Machine Intelligence 2020): sensory, inter,
//! command and motor neurons, each layer wired to the next by a fixed number of random synapses. The proportions are
//! those of `ncps.wirings.AutoNCP`. The random choices differ from the package's and are determined by the seed.

use mixer::MixerError;

/// A wiring. Units are numbered motor first, then command, then inter, as in the `ncps` package.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wiring {
    /// Motor neurons: the outputs.
    pub motor: usize,
    /// Command neurons.
    pub command: usize,
    /// Inter neurons.
    pub inter: usize,
    /// `[units, units]`, from row to column: −1, 0 or 1.
    pub recurrent: Vec<i8>,
    /// `[inputs, units]`.
    pub sensory: Vec<i8>,
}

impl Wiring {
    /// All units wired to all units, with reversal potential −1 at probability 1/3, as in
    /// `ncps.wirings.FullyConnected`.
    pub(crate) fn full(units: usize, inputs: usize, outputs: usize, seed: u64) -> Self {
        let mut random = Random(seed);
        let mut draw = |n: usize| (0..n).map(|_| if random.below(3) == 0 { -1 } else { 1 }).collect();
        Self {
            motor: outputs,
            command: 0,
            inter: units - outputs,
            recurrent: draw(units * units),
            sensory: draw(inputs * units),
        }
    }

    /// Units divided and wired as by `AutoNCP(units, outputs, sparsity)`.
    ///
    /// # Errors
    /// [`MixerError::InvalidField`] where `units` is too small for inter and command neurons.
    pub(crate) fn auto(
        units: usize,
        inputs: usize,
        outputs: usize,
        sparsity: f64,
        seed: u64,
    ) -> Result<Self, MixerError> {
        if outputs + 3 > units {
            return Err(MixerError::invalid(
                "units",
                format!("at least {} for this wiring", outputs + 3),
                units,
            ));
        }
        let density = 1.0 - sparsity;
        let share = |n: usize, part: f64| ((n as f64 * part) as usize).clamp(1, n);
        let hidden = units - outputs;
        let command = share(hidden, 0.4);
        let inter = hidden - command;
        let mut wiring = Self {
            motor: outputs,
            command,
            inter,
            recurrent: vec![0; units * units],
            sensory: vec![0; inputs * units],
        };
        let mut random = Random(seed);
        let (first_command, first_inter) = (outputs, outputs + command);
        wire(&mut wiring.sensory, units, 0..inputs, first_inter..units, share(inter, density), &mut random);
        wire(
            &mut wiring.recurrent,
            units,
            first_inter..units,
            first_command..first_inter,
            share(command, density),
            &mut random,
        );
        for _ in 0..((command as f64 * density * 2.0) as usize).max(1) {
            let (from, to) = (first_command + random.below(command), first_command + random.below(command));
            wiring.recurrent[from * units + to] = random.sign();
        }
        // Motor neurons choose their commands, so rows and columns swap roles.
        for to in 0..outputs {
            for from in random.choose(first_command..first_inter, share(command, density)) {
                wiring.recurrent[from * units + to] = random.sign();
            }
        }
        for from in first_command..first_inter {
            if wiring.recurrent[from * units..][..outputs].iter().all(|&sign| sign == 0) {
                let to = random.below(outputs);
                wiring.recurrent[from * units + to] = random.sign();
            }
        }
        Ok(wiring)
    }

    /// Number of synapses between units.
    pub(crate) fn recurrent_synapses(&self) -> usize {
        self.recurrent.iter().filter(|&&sign| sign != 0).count()
    }

    /// Number of synapses from inputs.
    pub(crate) fn sensory_synapses(&self) -> usize {
        self.sensory.iter().filter(|&&sign| sign != 0).count()
    }
}

/// Wires each unit of `from` to `fanout` units of `to`, then each unchosen unit of `to` to one of `from`.
fn wire(
    matrix: &mut [i8],
    units: usize,
    from: std::ops::Range<usize>,
    to: std::ops::Range<usize>,
    fanout: usize,
    random: &mut Random,
) {
    for source in from.clone() {
        for target in random.choose(to.clone(), fanout) {
            matrix[source * units + target] = random.sign();
        }
    }
    for target in to {
        if from.clone().all(|source| matrix[source * units + target] == 0) && !from.is_empty() {
            let source = from.start + random.below(from.len());
            matrix[source * units + target] = random.sign();
        }
    }
}

/// SplitMix64 (Steele, Lea and Flood 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^= z >> 31;
        (z % n.max(1) as u64) as usize
    }

    fn sign(&mut self) -> i8 {
        if self.below(2) == 0 { -1 } else { 1 }
    }

    /// `n` different members of `range`: the start of a Fisher–Yates shuffle.
    fn choose(&mut self, range: std::ops::Range<usize>, n: usize) -> Vec<usize> {
        let mut all: Vec<usize> = range.collect();
        for at in 0..n.min(all.len()) {
            let other = at + self.below(all.len() - at);
            all.swap(at, other);
        }
        all.truncate(n);
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_neuron_is_reached_and_the_seed_decides() {
        let wiring = Wiring::auto(64, 16, 8, 0.5, 3).unwrap();
        assert_eq!(wiring, Wiring::auto(64, 16, 8, 0.5, 3).unwrap());
        assert_ne!(wiring, Wiring::auto(64, 16, 8, 0.5, 4).unwrap());
        assert_eq!((wiring.motor, wiring.command, wiring.inter), (8, 22, 34));
        let into = |matrix: &[i8], unit: usize| matrix.chunks_exact(64).any(|row| row[unit] != 0);
        assert!((0..30).all(|unit| into(&wiring.recurrent, unit)));
        assert!((30..64).all(|unit| into(&wiring.sensory, unit)));
        assert!((0..30).all(|unit| !into(&wiring.sensory, unit)));
        assert_eq!(wiring.sensory_synapses().max(16 * 17), wiring.sensory_synapses());
        assert!(wiring.recurrent_synapses() < 64 * 64 / 3);
    }

    #[test]
    fn too_few_units_are_refused_by_name() {
        let error = Wiring::auto(10, 4, 8, 0.5, 1).unwrap_err();
        assert!(matches!(error, MixerError::InvalidField { field, .. } if field == "units"));
    }
}
