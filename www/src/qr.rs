//! QR codes of links, as SVG.

use std::fmt::Write as _;

use qrcodegen::{QrCode, QrCodeEcc};

/// White modules required around the code.
const QUIET: i32 = 4;

/// The code of `text` as an `<svg>` element, dark on white in both themes; `None` where it is too long. Links contain
/// upper and lower case, so at most 2,953 characters fit.
pub fn svg(text: &str, label: &str) -> Option<String> {
    let code = QrCode::encode_binary(text.as_bytes(), QrCodeEcc::Low).ok()?;
    let size = code.size();
    let mut path = String::with_capacity(8 * 1024);
    for y in 0..size {
        let mut x = 0;
        while x < size {
            let from = x;
            while code.get_module(x, y) {
                x += 1;
            }
            if x > from {
                let _ = write!(path, "M{} {}h{}v1H{}z", from + QUIET, y + QUIET, x - from, from + QUIET);
            }
            x += 1;
        }
    }
    let side = size + 2 * QUIET;
    Some(format!(
        r##"<svg class="qr" viewBox="0 0 {side} {side}" role="img" aria-label="{}" shape-rendering="crispEdges"><path fill="#fff" d="M0 0h{side}v{side}H0z"/><path fill="#000" d="{path}"/></svg>"##,
        chart::svg::escape(label)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The text encoded by the modules of the path, decoded by another library.
    fn read(svg: &str) -> String {
        let side: usize =
            svg.split("viewBox=\"0 0 ").nth(1).unwrap().split(' ').next().unwrap().parse().unwrap();
        let size = side - 2 * QUIET as usize;
        let mut dark = vec![false; size * size];
        let path = svg.rsplit("d=\"").next().unwrap().split('"').next().unwrap();
        for run in path.split('M').skip(1) {
            let (x, rest) = run.split_once(' ').unwrap();
            let (y, rest) = rest.split_once('h').unwrap();
            let (width, _) = rest.split_once('v').unwrap();
            let [x, y, width] = [x, y, width].map(|number| number.parse::<usize>().unwrap());
            let from = (y - QUIET as usize) * size + x - QUIET as usize;
            dark[from..from + width].fill(true);
        }
        let grid = rqrr::SimpleGrid::from_func(size, |x, y| dark[y * size + x]);
        rqrr::Grid::new(grid).decode().unwrap().1
    }

    #[test]
    fn a_code_says_the_link() {
        let link = format!("https://example.org/#r=1{}", "Ab-_9".repeat(80));
        assert_eq!(read(&svg(&link, "a <b>").unwrap()), link);
        assert!(svg(&link, "a <b>").unwrap().contains("aria-label=\"a &lt;b&gt;\""));
    }

    #[test]
    fn too_long_a_text_has_no_code() {
        assert!(svg(&"a".repeat(2953), "").is_some());
        assert!(svg(&"a".repeat(2954), "").is_none());
    }
}
