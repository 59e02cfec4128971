//! The hash in f64. Cases state bucket numbers that a kernel computed in f32. They are accepted only if this hash gives
//! equal numbers or if the difference is within f32 rounding.

use mixer::{Case, MixerError, OpCount};

use super::{Hashing, Spec};

/// Relative error bound of one f32 operation: twice the worst case, to cover second-order terms.
const ROUNDING: f64 = f32::EPSILON as f64;

/// Bucket numbers of another input, used whatever this input's numbers would be: the sets of tokens that see each other
/// then stay fixed. Kernels do not read them.
const HELD: &str = "held.buckets";

/// Channels of one head at one position.
pub(super) struct Channels {
    pub values: Vec<f64>,
    /// Largest difference of a kernel's channels from these: zero if they are inputs, f32 rounding if they are
    /// projected.
    pub error: f64,
}

/// Error bound of a sum of `terms` products of f32 numbers in any order, relative to the sum of their magnitudes.
pub(super) fn sum_error(terms: usize) -> f64 {
    terms as f64 * ROUNDING
}

/// One position's products with a head's rotations in one round, `[columns]`, and the error bounds of a kernel's
/// products.
struct Products {
    values: Vec<f64>,
    errors: Vec<f64>,
}

impl Products {
    /// `rotations` are the head's, `[d_head, rounds, columns]`.
    fn new(hashing: &Hashing, round: usize, u: &Channels, rotations: &[f32], count: &mut OpCount) -> Self {
        let columns = hashing.columns();
        let row = hashing.rounds * columns;
        let each = |of: &dyn Fn(f64, f64) -> f64| -> Vec<f64> {
            (round * columns..(round + 1) * columns)
                .map(|column| {
                    let rotation = |c: usize| f64::from(rotations[c * row + column]);
                    u.values.iter().enumerate().map(|(c, &value)| of(value, rotation(c))).sum()
                })
                .collect()
        };
        count.add(2 * u.values.len() * columns);
        let rounding = sum_error(u.values.len());
        Self {
            values: each(&|value, rotation| value * rotation),
            errors: each(&|value, rotation| (u.error + rounding * (value.abs() + u.error)) * rotation.abs()),
        }
    }

    /// For each factor the index of the largest of the products and their negatives, the first one in a tie; as digits.
    fn bucket(&self, hashing: &Hashing) -> usize {
        let (mut bucket, mut weight, mut first) = (0, 1, 0);
        for &factor in &hashing.factors {
            let run = &self.values[first..first + factor / 2];
            let mut best = (f64::NEG_INFINITY, 0);
            for (number, value) in run.iter().copied().chain(run.iter().map(|value| -value)).enumerate() {
                if value > best.0 {
                    best = (value, number);
                }
            }
            bucket += weight * best.1;
            weight *= factor;
            first += factor / 2;
        }
        bucket
    }

    /// Whether a correct kernel may find `bucket`: each digit is that of the largest product, or of a product that may
    /// be largest within f32 rounding. Products that are not finite allow any bucket.
    fn allow(&self, hashing: &Hashing, bucket: usize) -> bool {
        let (mut rest, mut first) = (bucket, 0);
        for &factor in &hashing.factors {
            let half = factor / 2;
            let digit = rest % factor;
            rest /= factor;
            let at = first + digit % half;
            let value = if digit < half { self.values[at] } else { -self.values[at] };
            let beyond =
                |other: usize| self.values[other].abs() - value > self.errors[other] + self.errors[at];
            if (first..first + half).any(beyond) {
                return false;
            }
            first += half;
        }
        rest == 0
    }
}

/// Bucket numbers `[rounds, length]` of one head of one sequence, hashed from `u(position)`. If the case states
/// bucket numbers, these are returned after those at the positions `checked` have been compared with the hash.
///
/// # Errors
/// [`MixerError::InvalidField`] for a stated bucket that no correct kernel can find.
pub(super) fn buckets(
    spec: &Spec,
    hashing: &Hashing,
    case: &Case,
    (sequence, head): (usize, usize),
    checked: impl Iterator<Item = usize>,
    u: impl Fn(usize) -> Channels,
    count: &mut OpCount,
) -> Result<Vec<usize>, MixerError> {
    let seq_len = spec.base.dims.seq_len;
    let stated = |name: &str| -> Result<Vec<usize>, MixerError> {
        let all = case.tensors.indices(name, &spec.buckets_shape(hashing))?;
        let len = hashing.rounds * seq_len;
        let own = &all[(sequence * spec.base.n_heads + head) * len..][..len];
        Ok(own.iter().map(|&bucket| usize::try_from(bucket).unwrap_or(usize::MAX)).collect())
    };
    if case.tensors.get(HELD).is_some() {
        return stated(HELD);
    }
    if case.tensors.get("mid.buckets").is_none() {
        return hashed(spec, hashing, case, head, u, count);
    }
    let rotations = head_rotations(spec, hashing, case, head)?;
    let given = stated("mid.buckets")?;
    for position in checked {
        let channels = u(position);
        for round in 0..hashing.rounds {
            let products = Products::new(hashing, round, &channels, rotations, count);
            let bucket = given[round * seq_len + position];
            if !products.allow(hashing, bucket) {
                let want = products.bucket(hashing);
                let allowed = format!("{want} at position {position}, round {round}, head {head}");
                return Err(MixerError::invalid("mid.buckets", allowed, bucket));
            }
        }
    }
    Ok(given)
}

/// [`buckets`] without stated numbers.
pub(super) fn hashed(
    spec: &Spec,
    hashing: &Hashing,
    case: &Case,
    head: usize,
    u: impl Fn(usize) -> Channels,
    count: &mut OpCount,
) -> Result<Vec<usize>, MixerError> {
    let rotations = head_rotations(spec, hashing, case, head)?;
    let seq_len = spec.base.dims.seq_len;
    let mut buckets = vec![0; hashing.rounds * seq_len];
    for position in 0..seq_len {
        let channels = u(position);
        for round in 0..hashing.rounds {
            let products = Products::new(hashing, round, &channels, rotations, count);
            buckets[round * seq_len + position] = products.bucket(hashing);
        }
    }
    Ok(buckets)
}

/// `[d_head, rounds, columns]`.
fn head_rotations<'a>(
    spec: &Spec,
    hashing: &Hashing,
    case: &'a Case,
    head: usize,
) -> Result<&'a [f32], MixerError> {
    let len = spec.base.d_head() * hashing.rounds * hashing.columns();
    Ok(&spec.rotations(hashing, &case.tensors)?[head * len..][..len])
}
