//! Lane colours for both themes. The page's style sheet holds the same values as custom properties (a test compares
//! them); exports write them into the SVG.

/// A theme.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Theme {
    /// Dark marks on a light ground.
    Light,
    /// Light marks on a dark ground.
    Dark,
}

/// One colour per slot on a light ground, each with a contrast of at least 3:1 against white.
pub const LIGHT: [&str; 14] = [
    "#d14d00", "#1763d8", "#8c5a3c", "#9a6b00", "#0b857a", "#7440e0", "#197a3c", "#5a7d00", "#0079a6",
    "#c2185b", "#d23f96", "#56647a", "#9a35ad", "#b3261e",
];

/// One colour per slot on a dark ground.
pub const DARK: [&str; 14] = [
    "#ff9052", "#6aa9ff", "#d3a582", "#efb82f", "#3fd0bf", "#b89aff", "#56d085", "#b4d648", "#4cc9f0",
    "#ff6f9f", "#ff9bd2", "#aab8cc", "#dd8df0", "#ff8078",
];

/// Ground, ink, muted ink and grid of a theme.
pub fn inks(theme: Theme) -> [&'static str; 4] {
    match theme {
        Theme::Light => ["#ffffff", "#16181d", "#5b6472", "#e4e7ec"],
        Theme::Dark => ["#14161b", "#f0f2f6", "#9aa4b3", "#2a2e37"],
    }
}

/// Lane colours of a theme.
pub fn lanes(theme: Theme) -> [&'static str; 14] {
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
}
