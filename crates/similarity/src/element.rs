use candle_core::CpuStorage;

mod sealed {
    pub trait Sealed {}
    impl Sealed for f32 {}
    impl Sealed for f64 {}
}

/// The number types of the streamed reductions: f32 and f64.
pub trait Element:
    sealed::Sealed + Copy + Send + Sync + PartialOrd + std::fmt::Debug + candle_core::WithDType + 'static
{
    /// Its name.
    const NAME: &'static str;
    /// Zero.
    const ZERO: Self;
    /// One.
    const ONE: Self;
    /// The value in f64, exactly.
    fn wide(self) -> f64;
    /// The nearest value to an f64.
    fn narrow(value: f64) -> Self;
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
            fn wide(self) -> f64 {
                f64::from(self)
            }
            fn narrow(value: f64) -> Self {
                value as $t
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
