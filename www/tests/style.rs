//! The style sheet's colours of lanes are those that exports write into their files.

use chart::palette::{DARK, LIGHT};

#[test]
fn the_style_sheet_has_the_colours_of_the_palette() {
    let css = include_str!("../static/css/10-base.css");
    for (slot, (light, dark)) in LIGHT.iter().zip(DARK).enumerate() {
        assert!(
            css.contains(&format!("--lane-{slot}: light-dark({light}, {dark});")),
            "lane {slot}: {light}, {dark}"
        );
    }
}
