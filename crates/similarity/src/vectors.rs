//! Loops over a row of the matrix, compiled for the machine's vector instructions.
//!
//! Products and sums are never fused or reordered by the compiler, so every version of a loop gives the same bits.

use crate::Element;

/// Partial results that a loop keeps side by side.
const LANES: usize = 16;

/// Whether the machine has the instructions of the widest version. The answer is looked up once by the standard library.
#[cfg(target_arch = "x86_64")]
pub(crate) fn has_avx512() -> bool {
    is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
}

/// Compiles a function three times and calls the best version that the machine can run.
macro_rules! vectorised {
    ($(
        $(#[$meta:meta])*
        fn $name:ident($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block
    )*) => {$(
        $(#[$meta])*
        pub(crate) fn $name<T: Element>($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body<T: Element>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2")]
            fn avx2<T: Element>($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
            fn avx512<T: Element>($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            {
                if crate::vectors::has_avx512() {
                    // SAFETY: the machine has these parts of AVX-512, and with them AVX2.
                    return unsafe { avx512($($arg),*) };
                }
                if is_x86_feature_detected!("avx2") {
                    // SAFETY: the machine has AVX2.
                    return unsafe { avx2($($arg),*) };
                }
            }
            body($($arg),*)
        }
    )*};
}

pub(crate) use vectorised;

vectorised! {
    /// Whether no value is infinite or NaN.
    fn all_finite(values: &[T]) -> bool {
        values.chunks(1024).all(|c| c.iter().fold(true, |ok, v| ok & v.wide().is_finite()))
    }

    /// The largest value, minus infinity if there is none; NaNs are passed over.
    fn largest(line: &[T]) -> T {
        let mut lanes = [T::LOWEST; LANES];
        let mut chunks = line.chunks_exact(LANES);
        for chunk in &mut chunks {
            for (most, &v) in lanes.iter_mut().zip(chunk) {
                *most = if v > *most { v } else { *most };
            }
        }
        lanes.iter().chain(chunks.remainder()).fold(T::LOWEST, |most, &v| if v > most { v } else { most })
    }

    /// Every value becomes `exp(value - base)`, where `base` is none below any value; their sum.
    fn exps(line: &mut [T], base: T) -> f64 {
        let mut lanes = [0f64; LANES];
        let mut chunks = line.chunks_exact_mut(LANES);
        for chunk in &mut chunks {
            for (sum, v) in lanes.iter_mut().zip(chunk) {
                *v = (*v - base).exp_negative();
                *sum += v.wide();
            }
        }
        let mut sum = 0.;
        for v in chunks.into_remainder() {
            *v = (*v - base).exp_negative();
            sum += v.wide();
        }
        lanes.iter().fold(sum, |a, b| a + b)
    }

    /// The sum of `log(1 + exp(value - above))`; every value becomes its derivative, the logistic function.
    fn softplus(line: &mut [T], above: T) -> f64 {
        let mut lanes = [0f64; LANES];
        for chunk in line.chunks_mut(LANES) {
            for (sum, v) in lanes.iter_mut().zip(chunk) {
                let x = *v - above;
                let negative = x < T::ZERO;
                let e = (if negative { x } else { T::ZERO - x }).exp_negative();
                // In the type of the sum: the two parts may differ by many powers of two.
                let positive = if negative { T::ZERO } else { x };
                *sum += positive.wide() + e.ln_1p_unit().wide();
                *v = (if negative { e } else { T::ONE }) / (T::ONE + e);
            }
        }
        lanes.iter().fold(0., |a, b| a + b)
    }

    /// Every value times a factor; the sum of the products.
    fn scale(line: &mut [T], factor: T) -> f64 {
        let mut lanes = [0f64; LANES];
        for chunk in line.chunks_mut(LANES) {
            for (sum, v) in lanes.iter_mut().zip(chunk) {
                *v *= factor;
                *sum += v.wide();
            }
        }
        lanes.iter().fold(0., |a, b| a + b)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::element::sealed::Exp;

    #[test]
    fn exponentials_over_the_whole_range() {
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
        assert_eq!((0f32.exp_negative(), 0f64.exp_negative()), (1., 1.));
        for x in [f32::NEG_INFINITY, f32::MIN, -1e9, -88.] {
            assert_eq!(x.exp_negative(), 0.);
        }
        assert!(f32::NAN.exp_negative().is_nan() && f64::NAN.exp_negative().is_nan());
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

    #[test]
    fn loops_over_rows_of_any_length() {
        for n in [0, 1, 15, 16, 17, 100] {
            let line: Vec<f64> = (0..n).map(|i| f64::from(i * 37 % 23) * 0.3 - 3.).collect();
            let most = line.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            assert_eq!(largest(&line), most);
            let mut e = line.clone();
            let sum = exps(&mut e, most);
            let want: f64 = line.iter().map(|x| (x - most).exp()).sum();
            // A hundred terms, each rounded once.
            assert!((sum - want).abs() <= 1e-14 * want.max(1.), "{n}: {sum} {want}");
            let twice = scale(&mut e, 2.);
            assert!((twice - 2. * want).abs() <= 2e-14 * want.max(1.));
            let mut s = line.clone();
            let sum = softplus(&mut s, 0.5);
            let want: f64 = line.iter().map(|x| (x - 0.5).exp().ln_1p()).sum();
            assert!((sum - want).abs() <= 1e-13 * want.max(1.), "{n}: {sum} {want}");
            for (w, x) in s.iter().zip(&line) {
                assert!((w - 1. / (1. + (0.5 - x).exp())).abs() <= 4. * f64::EPSILON);
            }
        }
        let mut bad = vec![0f32; 5000];
        assert!(all_finite(&bad));
        bad[4999] = f32::NEG_INFINITY;
        assert!(!all_finite(&bad));
        bad[4999] = f32::NAN;
        assert!(!all_finite(&bad));
        assert_eq!(largest(&bad), 0.);
    }
}
