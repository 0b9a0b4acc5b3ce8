use crate::Element;

/// Functions that `std` computes one call at a time, written so that loops over them become vector code.
pub trait Exp: Element {
    /// `e^self` for arguments up to 0, within two units in the last place; 0 below the smallest normal number. A NaN comes
    /// out.
    fn exp_negative(self) -> Self;

    /// `log(1 + self)` for arguments from 0 to 1, within two units in the last place in f32; of f64 the standard library's.
    fn ln_1p_unit(self) -> Self;

    /// Square root.
    fn root(self) -> Self;
}

/// `1 / n!`
const INVERSE_FACTORIALS: [f64; 14] = {
    let mut all = [1.; 14];
    let mut n = 1;
    while n < 14 {
        all[n] = all[n - 1] / n as f64;
        n += 1;
    }
    all
};

macro_rules! exp {
    (
        $t:ident, bias $bias:expr, shift $shift:expr, magic $magic:expr, least $least:expr, low $low:expr,
        terms $terms:expr, ln_1p $ln_1p:expr
    ) => {
        impl Exp for $t {
            #[inline(always)]
            fn exp_negative(self) -> Self {
                // Adding `magic` rounds to a whole number and leaves it in the lowest bits of the sum.
                const MAGIC: $t = $magic;
                // ln 2 in two parts, of which the first has few digits: its products are exact.
                const HIGH: $t = 355. / 512.;
                let x = if self < $least { $least } else { self };
                let sum = x * std::f64::consts::LOG2_E as $t + MAGIC;
                let power = sum - MAGIC;
                let rest = (x - power * HIGH) - power * $low;
                // Taylor's series on |rest| <= ln(2) / 2, from the last term on.
                let mut value = INVERSE_FACTORIALS[$terms] as $t;
                let mut n: usize = $terms;
                while n > 0 {
                    n -= 1;
                    value = INVERSE_FACTORIALS[n] as $t + rest * value;
                }
                let bits = sum.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add($bias) << $shift;
                if self < $least { 0. } else { value * $t::from_bits(bits) }
            }

            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }

            #[inline(always)]
            fn ln_1p_unit(self) -> Self {
                $ln_1p(self)
            }
        }
    };
}
exp!(f32, bias 127, shift 23, magic 12_582_912., least -87., low -2.121_944_4e-4, terms 7, ln_1p ln_1p_unit);
exp!(
    f64, bias 1023, shift 52, magic 6_755_399_441_055_744., least -708., low -2.121_944_400_546_905_8e-4,
    terms 13, ln_1p f64::ln_1p
);

#[inline(always)]
fn ln_1p_unit(x: f32) -> f32 {
    // log(1 + e) = 2 artanh(z) with z = e / (2 + e) <= 1/3: what is left out is below z^17 / 17, 1.4e-9 of z.
    let z = x / (2. + x);
    let s = z * z;
    let p = 1. / 13. + s * (1. / 15.);
    let p = 1. / 11. + s * p;
    let p = 1. / 9. + s * p;
    let p = 1. / 7. + s * p;
    let p = 1. / 5. + s * p;
    let p = 1. / 3. + s * p;
    2. * (z + z * s * p)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exponentials_are_those_of_the_standard_library() {
        for i in 0..=70_000 {
            let x = -f64::from(i) / 100.;
            let (got, want) = (x.exp_negative(), x.exp());
            assert!((got - want).abs() <= 2. * f64::EPSILON * want, "{x}: {got:e} {want:e}");
            let x = (x / 8.1) as f32;
            let (got, want) = (f64::from(x.exp_negative()), f64::from(x).exp());
            assert!((got - want).abs() <= 2. * f64::from(f32::EPSILON) * want, "{x}: {got:e} {want:e}");
        }
        assert_eq!((0f32.exp_negative(), 0f64.exp_negative()), (1., 1.));
        assert_eq!((f32::NEG_INFINITY.exp_negative(), (-1e9f64).exp_negative()), (0., 0.));
        assert!(f32::NAN.exp_negative().is_nan() && f64::NAN.exp_negative().is_nan());
    }

    #[test]
    fn exponentials_over_the_whole_range_of_f32() {
        // Every 1009th f32 from -0 to minus infinity.
        let mut worst = 0f64;
        for bits in (0x8000_0000u32..=0xff80_0000).step_by(1009) {
            let x = f32::from_bits(bits);
            let (got, want) = (f64::from(x.exp_negative()), f64::from(x).exp());
            if x >= -87. {
                worst = worst.max((got - want).abs() / want);
            } else {
                assert_eq!(got, 0., "{x}");
                assert!(want < 1.7e-38);
            }
        }
        // Two units in the last place.
        assert!(worst <= 2. * f64::from(f32::EPSILON), "{worst:e}");
        // The one infinity that can come: an overflow above any base is no number, and is found by that.
        assert!((f32::INFINITY - f32::INFINITY).exp_negative().is_nan());
    }

    #[test]
    fn logarithms_above_one_keep_the_digits_of_small_arguments() {
        for i in 0..=40_000 {
            let e = if i < 20_000 { f64::from(i) / 20_000. } else { 2f64.powf(-f64::from(i - 20_000) / 200.) } as f32;
            let (got, want) = (f64::from(e.ln_1p_unit()), f64::from(e).ln_1p());
            assert!((got - want).abs() <= 2. * f64::from(f32::EPSILON) * want, "{e}: {got:e} {want:e}");
        }
        assert_eq!((0f32.ln_1p_unit(), 0f64.ln_1p_unit()), (0., 0.));
        assert!(f32::NAN.ln_1p_unit().is_nan());
    }
}
