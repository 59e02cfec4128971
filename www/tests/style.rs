//! The style sheet's colours of lanes are those that exports write into their files.

use chart::palette::{DARK, LIGHT};

#[test]
fn the_style_sheets_have_the_colours_of_the_palette() {
    let css = include_str!("../static/css/10-base.css");
    let forced = include_str!("../static/css/90-narrow.css");
    for (slot, (light, dark)) in LIGHT.iter().zip(DARK).enumerate() {
        assert!(
            css.contains(&format!("--lane-{slot}: light-dark({light}, {dark});")),
            "lane {slot}: {light}, {dark}"
        );
        assert!(css.contains(&format!(".c{slot} {{ --c: var(--lane-{slot}); }}")), "lane {slot}");
        assert!(forced.contains(&format!("--lane-{slot}: CanvasText;")), "lane {slot}");
    }
}
