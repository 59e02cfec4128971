//! Permutations that a stable counting sort makes: O(n + buckets), two passes.
//!
//! Their types vouch for it that no index occurs twice, which is why tasks may write the rows that different entries name
//! ([`super::parts::Matrix::permuted_blocks`]). Nothing outside of this file can change an entry.

use mixer::{Count, Memory, MixerError, Words};

/// Several permutations of 0 … n − 1.
///
/// Invariant: each stretch of `len` entries is a permutation of `0..len`.
#[derive(Debug)]
pub struct Permutations {
    len: usize,
    entries: Words,
}

impl Permutations {
    /// `count` identities of `len` entries.
    ///
    /// # Errors
    /// [`MixerError::OutOfMemory`].
    pub fn new(memory: &Memory, len: usize, count: impl Into<Count>) -> Result<Self, MixerError> {
        let mut entries = memory.words(count.into() * Count::from(len))?;
        for order in entries.chunks_exact_mut(len.max(1)) {
            (0..).zip(order).for_each(|(index, to)| *to = index);
        }
        Ok(Self { len, entries })
    }

    /// Permutation number `index`.
    pub fn get(&self, index: usize) -> Option<Permutation<'_>> {
        self.entries.chunks_exact(self.len.max(1)).nth(index).map(Permutation)
    }

    /// Entries of all, `[count, len]`.
    pub fn entries(&self) -> &[u32] {
        &self.entries
    }

    /// All of them, to sort anew.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = PermutationMut<'_>> + Send {
        self.entries.chunks_exact_mut(self.len.max(1)).map(PermutationMut)
    }
}

/// A permutation of 0 … n − 1.
#[derive(Debug, Clone, Copy)]
pub struct Permutation<'a>(&'a [u32]);

impl<'a> Permutation<'a> {
    /// Its entries, none of them twice.
    pub fn entries(self) -> &'a [u32] {
        self.0
    }
}

/// A permutation that can be replaced by another one.
#[derive(Debug)]
pub struct PermutationMut<'a>(&'a mut [u32]);

impl PermutationMut<'_> {
    /// Replaces it by the indices of `buckets`, sorted by (bucket, index). Every bucket number is below `counts.len()`; `counts` is
    /// scratch.
    ///
    /// # Panics
    /// Where there is a larger bucket number, or `buckets` has another length. The permutation is then unchanged.
    pub fn sort(&mut self, buckets: &[u32], counts: &mut [u32]) {
        assert!(buckets.len() == self.0.len(), "a bucket number for each entry");
        counts.fill(0);
        for &bucket in buckets {
            counts[bucket as usize] += 1;
        }
        let mut start = 0;
        for count in counts.iter_mut() {
            start += std::mem::replace(count, start);
        }
        // A bucket's indices are written from the number of indices in the buckets before it on, so each entry is written once.
        for (index, &bucket) in buckets.iter().enumerate() {
            let slot = &mut counts[bucket as usize];
            self.0[*slot as usize] = index as u32;
            *slot += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        #[cfg_attr(miri, ignore = "a hundred cases take minutes there")]
        fn agrees_with_the_library_sort(buckets in prop::collection::vec(0_u32..17, 1..300)) {
            let memory = Memory::new(1 << 16);
            let mut order = Permutations::new(&memory, buckets.len(), 1_usize).unwrap();
            order.iter_mut().next().unwrap().sort(&buckets, &mut [7; 17]);
            let mut want: Vec<u32> = (0..buckets.len() as u32).collect();
            want.sort_by_key(|&index| buckets[index as usize]);
            prop_assert_eq!(order.entries(), want);
        }
    }

    #[test]
    fn begins_as_identities() {
        let order = Permutations::new(&Memory::new(1 << 10), 3, 2_usize).unwrap();
        assert_eq!(order.entries(), [0, 1, 2, 0, 1, 2]);
        assert_eq!(order.get(1).unwrap().entries(), [0, 1, 2]);
        assert!(order.get(2).is_none());
    }
}
