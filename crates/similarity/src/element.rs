use candle_core::CpuStorage;

/// The number types of the streamed reductions: f32 and f64.
pub trait Element: npair_simd::Exp + candle_core::WithDType {
    /// What sorts candidates of a search: the greater key is the nearer one, of equally near ones the earlier.
    type Key: Ord + Copy + Send + Sync;

    /// The key of a similarity that is no NaN.
    fn key(self, index: u32) -> Self::Key;
    /// What a key was made of; of the two zeros the positive one.
    fn of_key(key: Self::Key) -> (Self, u32);
    /// The storage's values if they are of this type.
    fn of_storage(storage: &CpuStorage) -> Option<&[Self]>;
    /// Storage of these values.
    fn into_storage(values: Vec<Self>) -> CpuStorage;
}

macro_rules! element {
    ($t:ty, $bits:ty, $key:ty, $variant:ident) => {
        impl Element for $t {
            type Key = $key;

            #[inline(always)]
            fn key(self, index: u32) -> $key {
                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
                // The two zeros are equally near.
                let bits = (self + 0.).to_bits();
                // Bits of floats sort as whole numbers do, negative ones the other way round.
                let order = if bits & SIGN == 0 { bits | SIGN } else { !bits };
                <$key>::from(order) << 32 | <$key>::from(!index)
            }

            #[inline(always)]
            fn of_key(key: $key) -> (Self, u32) {
                const SIGN: $bits = 1 << (<$bits>::BITS - 1);
                let order = (key >> 32) as $bits;
                let bits = if order & SIGN == 0 { !order } else { order & !SIGN };
                (<$t>::from_bits(bits), !(key as u32))
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

element!(f32, u32, u64, F32);
element!(f64, u64, u128, F64);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_by_similarity_then_place() {
        let values = [f64::NEG_INFINITY, -3.5, -1e-300, 0., 1e-310, 2., f64::INFINITY];
        for pair in values.windows(2) {
            assert!(pair[0].key(0) < pair[1].key(u32::MAX));
            assert!((pair[0] as f32).key(7) <= (pair[1] as f32).key(7));
        }
        for v in values {
            assert_eq!(f64::of_key(v.key(12)), (v, 12));
            assert_eq!(f32::of_key((v as f32).key(u32::MAX)), (v as f32, u32::MAX));
            assert!(v.key(3) > v.key(4));
        }
        assert_eq!((-0f32).key(1), 0f32.key(1));
    }
}
