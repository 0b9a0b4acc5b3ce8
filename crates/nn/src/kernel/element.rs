use super::Normal;

/// The number types that the kernels compute in, as candle knows them.
pub(crate) trait Element: candle_core::WithDType + npair_simd::Exp + Normal {}

impl Element for f32 {}
impl Element for f64 {}

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
