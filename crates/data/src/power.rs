//! Powers from square roots and products alone, which are rounded the same on every platform; those of libm are not.

/// 1 / e.
const INVERSE_E: f64 = 0.367_879_441_171_442_33;

/// `base^t` for a positive base and `t` in [0, 1]: a square root for every binary digit of `t`.
pub(crate) fn power(base: f64, t: f64) -> f64 {
    let (mut root, mut rest, mut product) = (base, t, 1.0);
    while rest > 0.0 {
        if rest >= 1.0 {
            rest -= 1.0;
            product *= root;
        }
        // Doubling and taking away a leading 1 lose nothing, so the digits run out after 53 at most (1,074 for the tiniest t).
        rest *= 2.0;
        root = root.sqrt();
    }
    product
}

/// `e^-x` for x >= 0; 0 from x = 700 on.
pub(crate) fn decay(x: f64) -> f64 {
    if x >= 700.0 {
        return 0.0;
    }
    let whole = x as u32;
    (0..whole).fold(power(INVERSE_E, x - f64::from(whole)), |product, _| product * INVERSE_E)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_library() {
        for i in 0..=64 {
            let t = f64::from(i) / 64.0 * 0.999_7;
            for base in [0.3, 1.0, 11.0] {
                assert!((power(base, t) / f64::powf(base, t) - 1.0).abs() < 1e-14, "{base} {t}");
            }
            let x = f64::from(i) * 3.7 + t;
            assert!((decay(x) / f64::exp(-x) - 1.0).abs() < 1e-12, "{x}");
        }
        assert_eq!((power(5.0, 0.0), power(5.0, 1.0), decay(0.0), decay(1e9)), (1.0, 5.0, 1.0, 0.0));
    }
}
