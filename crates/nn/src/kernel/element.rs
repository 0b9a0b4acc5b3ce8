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

    /// The values, if they are f32: for kernels of that type alone.
    fn as_f32(values: &[Self]) -> Option<&[f32]>;

    /// The reverse; none if the type is another.
    fn from_f32(values: Vec<f32>) -> Option<Vec<Self>>;
}

macro_rules! element {
    ($t:ty, $as_f32:expr, $from_f32:expr) => {
        impl Element for $t {
            const ZERO: Self = 0.;
            const ONE: Self = 1.;
            const NEG_INFINITY: Self = <$t>::NEG_INFINITY;

            fn is_nan(self) -> bool {
                <$t>::is_nan(self)
            }

            fn as_f32(values: &[Self]) -> Option<&[f32]> {
                let as_f32: fn(&[Self]) -> Option<&[f32]> = $as_f32;
                as_f32(values)
            }

            fn from_f32(values: Vec<f32>) -> Option<Vec<Self>> {
                let from_f32: fn(Vec<f32>) -> Option<Vec<Self>> = $from_f32;
                from_f32(values)
            }
        }
    };
}
element!(f32, |values| Some(values), |values| Some(values));
element!(f64, |_| None, |_| None);

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
                Err(candle_core::Error::msg(format_args!("{}: cannot compute in {other:?}; use f32 or f64", $name)))
            }
        }
    };
}
pub(crate) use by_dtype;
