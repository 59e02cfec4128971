//! Powers of two, for fits and scales.

/// 2ˣ, exact for whole `x`. The standard library's version has a table that adds 4 kB to every module that visitors
/// download.
pub fn exp2(x: f64) -> f64 {
    let x = x.clamp(-1080.0, 1030.0);
    let whole = x.floor();
    ((x - whole) * std::f64::consts::LN_2).exp() * 2_f64.powi(whole as i32)
}

#[cfg(test)]
mod tests {
    use super::exp2;

    #[test]
    fn powers_of_two_are_those_of_the_library() {
        for whole in -60..60_i32 {
            assert_eq!(exp2(f64::from(whole)), f64::from(whole).exp2());
            let x = f64::from(whole) + 0.37;
            assert!((exp2(x) / x.exp2() - 1.0).abs() < 1e-15, "{x}");
        }
        assert_eq!((exp2(f64::INFINITY), exp2(f64::NEG_INFINITY)), (f64::INFINITY, 0.0));
        assert!(exp2(f64::NAN).is_nan());
    }
}
