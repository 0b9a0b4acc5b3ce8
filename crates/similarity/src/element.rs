use candle_core::CpuStorage;

pub(crate) mod sealed {
    /// Functions that `std` computes one call at a time, as expressions that the compiler turns into vector code.
    pub trait Exp: Sized {
        /// `e^self` for arguments up to 0; f32: within two units in the last place, and 0 below -87, where the result
        /// would soon be subnormal. A NaN comes out.
        fn exp_negative(self) -> Self;

        /// `log(1 + self)` for arguments from 0 to 1; f32: within two units in the last place.
        fn ln_1p_unit(self) -> Self;
    }
}

impl sealed::Exp for f32 {
    #[inline(always)]
    fn exp_negative(self) -> Self {
        // Adding 1.5 * 2^23 rounds to a whole number and leaves it in the lowest bits of the sum.
        const MAGIC: f32 = 12_582_912.;
        // ln 2 in two parts, of which the first has few digits: its products are exact.
        const HIGH: f32 = 355. / 512.;
        const LOW: f32 = -2.121_944_4e-4;
        const LEAST: f32 = -87.;
        // A comparison that keeps a NaN.
        let x = if self < LEAST { LEAST } else { self };
        let sum = x * std::f32::consts::LOG2_E + MAGIC;
        let power = sum - MAGIC;
        let r = (x - power * HIGH) - power * LOW;
        // Taylor's series on |r| <= ln(2) / 2: what is left out is below r^8 / 8! = 6e-9, a tenth of a unit.
        let p = 1. / 720. + r * (1. / 5040.);
        let p = 1. / 120. + r * p;
        let p = 1. / 24. + r * p;
        let p = 1. / 6. + r * p;
        let p = 0.5 + r * p;
        let p = 1. + r * p;
        let p = 1. + r * p;
        let bits = sum.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23;
        if self < LEAST { 0. } else { p * f32::from_bits(bits) }
    }

    #[inline(always)]
    fn ln_1p_unit(self) -> Self {
        // log(1 + e) = 2 artanh(z) with z = e / (2 + e) <= 1/3: what is left out is below z^17 / 17, 1.4e-9 of z.
        let z = self / (2. + self);
        let s = z * z;
        let p = 1. / 13. + s * (1. / 15.);
        let p = 1. / 11. + s * p;
        let p = 1. / 9. + s * p;
        let p = 1. / 7. + s * p;
        let p = 1. / 5. + s * p;
        let p = 1. / 3. + s * p;
        2. * (z + z * s * p)
    }
}

/// As the standard library has them: f64 is for checking gradients.
impl sealed::Exp for f64 {
    #[inline(always)]
    fn exp_negative(self) -> Self {
        self.exp()
    }

    #[inline(always)]
    fn ln_1p_unit(self) -> Self {
        self.ln_1p()
    }
}

/// The number types of the streamed reductions: f32 and f64.
pub trait Element:
    sealed::Exp + Copy + Send + Sync + PartialOrd + std::fmt::Debug + candle_core::WithDType + 'static
{
    /// Its name.
    const NAME: &'static str;
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// Minus infinity.
    const LOWEST: Self;
    /// The distance from 1 to the next number.
    const EPSILON: f64;
    /// The value in f64, exactly.
    fn wide(self) -> f64;
    /// The nearest value to an f64.
    fn narrow(value: f64) -> Self;
    /// The square root.
    fn root(self) -> Self;
    /// The storage's values if they are of this type.
    fn of_storage(storage: &CpuStorage) -> Option<&[Self]>;
    /// Storage of these values.
    fn into_storage(values: Vec<Self>) -> CpuStorage;
}

macro_rules! element {
    ($t:ty, $variant:ident) => {
        impl Element for $t {
            const NAME: &'static str = stringify!($t);
            const ZERO: Self = 0.;
            const ONE: Self = 1.;
            const LOWEST: Self = <$t>::NEG_INFINITY;
            const EPSILON: f64 = <$t>::EPSILON as f64;
            #[inline(always)]
            fn wide(self) -> f64 {
                f64::from(self)
            }
            #[inline(always)]
            fn narrow(value: f64) -> Self {
                value as $t
            }
            #[inline(always)]
            fn root(self) -> Self {
                self.sqrt()
            }
            fn of_storage(storage: &CpuStorage) -> Option<&[Self]> {
                match storage {
                    CpuStorage::$variant(values) => Some(values),
                    _ => None,
                }
            }
            fn into_storage(values: Vec<Self>) -> CpuStorage {
                CpuStorage::$variant(values)
            }
        }
    };
}

element!(f32, F32);
element!(f64, F64);
