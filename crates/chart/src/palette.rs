//! Lane colours for both themes. The page's style sheet holds these values as custom properties (a test compares
//! them); exports write them into the SVG.

/// A theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark marks on a light background.
    Light,
    /// Light marks on a dark background.
    Dark,
}

/// Number of distinguishable marks. Marks with larger indices repeat them.
pub const MARKS: usize = 28;

/// One colour per mark on a light background, each with a contrast of at least 3:1 against white.
pub const LIGHT: [&str; MARKS] = [
    "#d14d00", "#1763d8", "#8c5a3c", "#9a6b00", "#0b857a", "#7440e0", "#197a3c", "#5a7d00", "#0079a6",
    "#c2185b", "#d23f96", "#56647a", "#9a35ad", "#b3261e", "#03381e", "#47134c", "#291596", "#702905",
    "#3e4153", "#51501e", "#5c088f", "#9a6982", "#970e75", "#012a63", "#4b1d1c", "#787d69", "#7d0336",
    "#0b5953",
];

/// One colour per mark on a dark background.
pub const DARK: [&str; MARKS] = [
    "#ff9052", "#6aa9ff", "#d3a582", "#efb82f", "#3fd0bf", "#b89aff", "#56d085", "#b4d648", "#4cc9f0",
    "#ff6f9f", "#ff9bd2", "#aab8cc", "#dd8df0", "#ff8078", "#5d8d6f", "#a068a5", "#656eef", "#b76849",
    "#dfe3f9", "#dbdca6", "#a966e5", "#b987a0", "#d553ac", "#618dce", "#f5b9b4", "#969b87", "#c75372",
    "#a2e7de",
];

/// Background, ink, muted ink and grid of a theme.
pub fn inks(theme: Theme) -> [&'static str; 4] {
    match theme {
        Theme::Light => ["#ffffff", "#16181d", "#5b6472", "#e4e7ec"],
        Theme::Dark => ["#14161b", "#f0f2f6", "#9aa4b3", "#2a2e37"],
    }
}

/// Lane colours of a theme.
pub fn lanes(theme: Theme) -> [&'static str; MARKS] {
    match theme {
        Theme::Light => LIGHT,
        Theme::Dark => DARK,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn lane_colours_can_be_read_as_text_on_both_grounds() {
        for theme in [Theme::Light, Theme::Dark] {
            let [ground, ink, muted, _] = inks(theme);
            assert!(contrast(ink, ground) >= 7.0 && contrast(muted, ground) >= 4.5);
            for color in lanes(theme) {
                assert!(
                    contrast(color, ground) >= 4.0,
                    "{color} on {ground}: {:.2}",
                    contrast(color, ground)
                );
            }
        }
    }

    /// Distance in OKLab; about 0.02 is just noticeable side by side.
    fn distance(a: &str, b: &str) -> f64 {
        let lab = |hex: &str| {
            let channel = |at: usize| {
                let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
                if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
            };
            let [r, g, b] = [channel(1), channel(3), channel(5)];
            let l = (0.412_221 * r + 0.536_333 * g + 0.051_446 * b).cbrt();
            let m = (0.211_903 * r + 0.680_700 * g + 0.107_397 * b).cbrt();
            let s = (0.088_302 * r + 0.281_719 * g + 0.629_979 * b).cbrt();
            [
                0.210_454 * l + 0.793_618 * m - 0.004_072 * s,
                1.977_998 * l - 2.428_592 * m + 0.450_594 * s,
                0.025_904 * l + 0.782_772 * m - 0.808_676 * s,
            ]
        };
        lab(a).iter().zip(lab(b)).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt()
    }

    #[test]
    fn no_two_marks_have_nearly_the_same_colour() {
        for theme in [Theme::Light, Theme::Dark] {
            let colors = lanes(theme);
            for (index, a) in colors.iter().enumerate() {
                for b in &colors[..index] {
                    assert!(distance(a, b) > 0.05, "{a} and {b}: {:.3}", distance(a, b));
                }
            }
        }
    }
}
