//! The picture of a system's mixing pattern, from rows of hexadecimal digits that the site's build computes (`crossover
//! systems --patterns`): one row per output, one digit per input, from 0 for no influence to f for the strongest.

use std::fmt::Write as _;

/// A pattern, ready to draw in a square of `size` by `size` units.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Cells on a side.
    pub size: usize,
    /// SVG path data by strength, 1 to 15; empty where no cell has that strength.
    pub paths: [String; 15],
    /// Share of the pairs of output and input with any influence, in whole per cent.
    pub share: u32,
    /// Whether any output depends on a later input.
    pub later: bool,
}

/// Converts rows of digits. Other characters count as 0.
pub fn picture<'a>(rows: impl IntoIterator<Item = &'a str>) -> Picture {
    let mut paths: [String; 15] = Default::default();
    let (mut size, mut cells, mut seen, mut later) = (0, 0_usize, 0_usize, false);
    for (y, row) in rows.into_iter().enumerate() {
        size = size.max(y + 1).max(row.len());
        let digits: Vec<_> = row.chars().map(|digit| digit.to_digit(16).unwrap_or(0)).collect();
        let mut x = 0;
        // One rectangle for each run of equal cells.
        for run in digits.chunk_by(|a, b| a == b) {
            let strength = run[0];
            if let Some(path) = (strength as usize).checked_sub(1).and_then(|index| paths.get_mut(index)) {
                // Writing to a string cannot fail.
                let _ = write!(path, "M{x} {y}h{}v1h-{0}z", run.len());
                seen += run.len();
                later |= x + run.len() > y + 1;
            }
            x += run.len();
        }
        cells += digits.len();
    }
    let share = if cells == 0 { 0 } else { (100.0 * seen as f64 / cells as f64).round() as u32 };
    Picture { size, paths, share, later }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_cells_become_one_rectangle_of_their_strength() {
        let picture = picture(["f00", "ff0", "11f"]);
        assert_eq!((picture.size, picture.share, picture.later), (3, 67, false));
        assert_eq!(picture.paths[14], "M0 0h1v1h-1zM0 1h2v1h-2zM2 2h1v1h-1z");
        assert_eq!(picture.paths[0], "M0 2h2v1h-2z");
        assert!(picture.paths[1..14].iter().all(String::is_empty));
    }

    #[test]
    fn later_inputs_are_detected() {
        assert!(picture(["11", "11"]).later && !picture(["10", "11"]).later);
        assert!(picture(["01", "00"]).later);
    }

    #[test]
    fn invalid_characters_count_as_zero() {
        let picture = picture(["zé", ""]);
        assert_eq!((picture.share, picture.later), (0, false));
        assert_eq!(super::picture([]).size, 0);
    }
}
