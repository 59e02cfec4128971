//! File names for saved reports, and dates.

use crate::Report;

/// Longest part of a file name that lists systems, in characters.
const MAX_SYSTEMS: usize = 60;

impl Report {
    /// A name for a file with this extension, e.g. `crossover-attention-hyena-2026-11-24.svg`. It consists of
    /// lower-case letters, digits, hyphens and one dot, whatever the report contains, so that it is safe on every
    /// operating system.
    pub fn file_name(&self, ending: &str) -> String {
        let mut name = "crossover".to_owned();
        let mut seen: Vec<&str> = Vec::new();
        for lane in &self.lanes {
            if seen.contains(&lane.system.as_str()) || !crate::text::is_id(&lane.system) {
                continue;
            }
            if name.len() + lane.system.len() > MAX_SYSTEMS {
                name.push_str("-etc");
                break;
            }
            name = name + "-" + &lane.system;
            seen.push(&lane.system);
        }
        if let Some(day) = self.day() {
            name = name + "-" + &day;
        }
        name + "." + ending
    }

    /// The UTC day of the start, e.g. `2026-11-24`.
    pub fn day(&self) -> Option<String> {
        let ms = self.started_at_ms.filter(|ms| (0.0..=crate::validate::MAX_DATE_MS).contains(ms))?;
        let (year, month, day) = civil((ms / 86_400_000.0).floor() as i64);
        Some(format!("{year:04}-{month:02}-{day:02}"))
    }
}

/// Year, month and day of a number of days since 1970, which must not be negative, by Howard Hinnant's
/// `civil_from_days` (low-level date algorithms).
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let era = shifted / 146_097;
    let day_of_era = shifted % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::report;

    #[test]
    fn days_are_those_of_the_calendar() {
        for (days, date) in [
            (0, (1970, 1, 1)),
            (59, (1970, 3, 1)),
            (11_016, (2000, 2, 29)),
            (20_781, (2026, 11, 24)),
            (2_932_896, (9999, 12, 31)),
        ] {
            assert_eq!(civil(days), date);
        }
    }

    #[test]
    fn fault_25_file_names_are_plain_whatever_the_report_says() {
        let mut report = report();
        assert_eq!(report.file_name("csv"), "crossover-attention-toy-2026-05-28.csv");
        report.started_at_ms = Some(f64::NAN);
        for evil in ["../../etc/passwd", "a/b", "con", "\u{202e}gnp", "x".repeat(500).as_str()] {
            evil.clone_into(&mut report.lanes[0].system);
            let name = report.file_name("svg");
            assert!(
                name.len() < 100
                    && name.starts_with("crossover-")
                    && name
                        .bytes()
                        .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.'),
                "{name}"
            );
        }
        let many = report.lanes[1].clone();
        report.lanes =
            (0..28).map(|index| crate::Lane { system: format!("system-{index}"), ..many.clone() }).collect();
        assert!(report.file_name("json").len() < 80);
    }
}
