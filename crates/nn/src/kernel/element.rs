use super::product::{self, Kernel};
use super::simd::Level;
use candle_core::WithDType;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The number types that the kernels compute in.
pub(crate) trait Element: WithDType + sealed::Sealed {
    const ZERO: Self;
    const ONE: Self;
    const NEG_INFINITY: Self;

    fn is_nan(self) -> bool;

    /// The product's code for panels of `vectors` registers.
    fn kernel(level: Level, vectors: usize) -> Kernel<Self>;

    /// Registers that a panel is at most wide.
    fn widest(level: Level) -> usize;
}

impl Element for f32 {
    const ZERO: Self = 0.;
    const ONE: Self = 1.;
    const NEG_INFINITY: Self = f32::NEG_INFINITY;

    fn is_nan(self) -> bool {
        f32::is_nan(self)
    }

    fn kernel(level: Level, vectors: usize) -> Kernel<Self> {
        product::single(level, vectors)
    }

    fn widest(level: Level) -> usize {
        product::widest(level)
    }
}

impl Element for f64 {
    const ZERO: Self = 0.;
    const ONE: Self = 1.;
    const NEG_INFINITY: Self = f64::NEG_INFINITY;

    fn is_nan(self) -> bool {
        f64::is_nan(self)
    }

    fn kernel(_: Level, vectors: usize) -> Kernel<Self> {
        product::plain(vectors)
    }

    fn widest(_: Level) -> usize {
        product::widest(Level::Baseline)
    }
}

/// Runs `$body` with `$T` bound to the number type of candle's `$dtype`; other types are an error.
macro_rules! by_dtype {
    ($dtype:expr, $name:expr, $T:ident => $body:expr) => {
        match $dtype {
            candle_core::DType::F32 => {
                type $T = f32;
                $body
            }
            candle_core::DType::F64 => {
                type $T = f64;
                $body
            }
            other => {
                Err(candle_core::Error::msg(format_args!("{}: cannot compute in {other:?}; use f32 or f64", $name))
                    .into())
            }
        }
    };
}
pub(crate) use by_dtype;
