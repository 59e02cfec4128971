//! A stable sort of positions by small bucket numbers: O(n + buckets), two passes.

/// Writes to `order` the indices of `buckets`, sorted by (bucket, index). Every bucket number is below
/// `counts.len()`; `counts` is scratch.
pub fn stable_sort(buckets: &[u32], counts: &mut [u32], order: &mut [u32]) {
    counts.fill(0);
    for &bucket in buckets {
        counts[bucket as usize] += 1;
    }
    let mut start = 0;
    for count in counts.iter_mut() {
        start += std::mem::replace(count, start);
    }
    for (index, &bucket) in buckets.iter().enumerate() {
        let slot = &mut counts[bucket as usize];
        order[*slot as usize] = index as u32;
        *slot += 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn agrees_with_the_library_sort(buckets in prop::collection::vec(0_u32..17, 0..300)) {
            let mut order = vec![u32::MAX; buckets.len()];
            stable_sort(&buckets, &mut [7; 17], &mut order);
            let mut want: Vec<u32> = (0..buckets.len() as u32).collect();
            want.sort_by_key(|&index| buckets[index as usize]);
            prop_assert_eq!(order, want);
        }
    }
}
