use candle_core::DType;

/// How f32 sides are multiplied on a GPU. On a CPU every product is of f32.
///
/// # Numerics
/// Relative errors of a product of two numbers; sums are of f32 in every case. 16-bit sides are multiplied as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Precision {
    /// Tensor cores, each number as the sum of two with 10 bits behind the point: at most 2^-20. Apple's matrix units take
    /// f32 as it is.
    #[default]
    Split,
    /// Tensor cores, numbers rounded to 10 bits (tf32): at most 2^-10, three times the speed.
    Tf32,
    /// Multiply-adds of f32, without tensor cores.
    Plain,
}

impl Precision {
    /// The relative error of a product of two numbers of this type: what tests allow for.
    pub fn relative_error(self, dtype: DType) -> f64 {
        match (dtype, self) {
            // Exact products of 8 or 11 bits in sums of f32.
            (DType::BF16 | DType::F16, _) => f64::from(f32::EPSILON),
            (_, Self::Split) => 2f64.powi(-20),
            (_, Self::Tf32) => 2f64.powi(-10),
            (_, Self::Plain) => f64::from(f32::EPSILON),
        }
    }
}
