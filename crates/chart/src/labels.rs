//! Places labels without overlap, each as close as possible to its preferred position.

/// Moves the positions `wanted` so that neighbours are at least `gap` apart and all lie in `low..=high`, with the least
/// sum of squared shifts. Returns them in the order of the input. If there is not enough room, they are spread evenly.
pub fn spread(wanted: &[f64], gap: f64, low: f64, high: f64) -> Vec<f64> {
    let n = wanted.len();
    if n == 0 {
        return Vec::new();
    }
    let gap = if n > 1 { gap.min((high - low) / (n - 1) as f64) } else { gap };
    let mut order: Vec<usize> = (0..n).collect();
    order.sort_by(|&a, &b| wanted[a].total_cmp(&wanted[b]).then(a.cmp(&b)));

    // With the gaps subtracted, non-overlap becomes monotonicity: pool adjacent violators.
    let mut blocks: Vec<(f64, usize)> = Vec::with_capacity(n);
    for (rank, &index) in order.iter().enumerate() {
        let mut block = (wanted[index] - gap * rank as f64, 1_usize);
        while let Some(&(mean, count)) = blocks.last() {
            if mean <= block.0 {
                break;
            }
            blocks.pop();
            let total = count + block.1;
            block = ((mean * count as f64 + block.0 * block.1 as f64) / total as f64, total);
        }
        blocks.push(block);
    }
    let mut placed = vec![0.0; n];
    let mut rank = 0;
    let last_offset = gap * (n - 1) as f64;
    for (mean, count) in blocks {
        let at = mean.min(high - last_offset).max(low);
        for _ in 0..count {
            placed[order[rank]] = at + gap * rank as f64;
            rank += 1;
        }
    }
    placed
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wanted: &[f64], gap: f64, low: f64, high: f64) {
        let placed = spread(wanted, gap, low, high);
        let mut sorted = placed.clone();
        sorted.sort_by(f64::total_cmp);
        let gap = if wanted.len() > 1 { gap.min((high - low) / (wanted.len() - 1) as f64) } else { gap };
        assert!(sorted.windows(2).all(|pair| pair[1] - pair[0] >= gap - 1e-6), "{wanted:?} {placed:?}");
        assert!(sorted.iter().all(|y| (low - 1e-6..=high + 1e-6).contains(y)), "{wanted:?} {placed:?}");
    }

    #[test]
    fn labels_do_not_overlap_or_leave_the_plot() {
        check(&[10.0, 11.0, 12.0], 14.0, 0.0, 300.0);
        check(&[299.0, 300.0, 300.0, 5.0], 14.0, 0.0, 300.0);
        check(&[0.0; 28], 14.0, 0.0, 300.0);
        check(&[-50.0, 900.0], 14.0, 0.0, 300.0);
        check(&[7.0], 14.0, 0.0, 300.0);
    }

    #[test]
    fn a_label_with_room_keeps_its_preferred_position() {
        assert_eq!(spread(&[100.0, 20.0, 200.0], 14.0, 0.0, 300.0), vec![100.0, 20.0, 200.0]);
        let close = spread(&[100.0, 104.0], 14.0, 0.0, 300.0);
        assert!((close[0] - 95.0).abs() < 1e-9 && (close[1] - 109.0).abs() < 1e-9);
        assert!(spread(&[], 14.0, 0.0, 300.0).is_empty());
    }
}
