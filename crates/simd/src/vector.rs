use crate::Element;

/// A register of lanes.
///
/// # Safety
/// All functions need the instructions that the implementing type names; pointers have to be valid for
/// [`Vector::LANES`] values, aligned as a single value is.
pub(crate) unsafe trait Vector: Copy {
    /// What a lane holds.
    type Value: Element;

    /// Values in a register.
    const LANES: usize;

    /// All lanes `value`.
    unsafe fn splat(value: Self::Value) -> Self;
    /// The values from `from` on.
    unsafe fn load(from: *const Self::Value) -> Self;
    /// Writes the lanes from `to` on.
    unsafe fn store(self, to: *mut Self::Value);
    /// `a b + self`.
    unsafe fn add_product(self, a: Self, b: Self) -> Self;
    /// Lane by lane `self + other`.
    unsafe fn add(self, other: Self) -> Self;
    /// The lanes, 0 where they are less; NaN stays NaN.
    unsafe fn positive(self) -> Self;
}

/// Four lanes in plain Rust: for all other machines.
#[derive(Clone, Copy)]
pub(crate) struct Plain<T>([T; 4]);

// SAFETY: plain Rust; reads and writes 4 values, unaligned.
unsafe impl<T: Element> Vector for Plain<T> {
    type Value = T;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: T) -> Self {
        Self([value; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const T) -> Self {
        // SAFETY: the caller vouches for 4 readable values.
        Self(unsafe { from.cast::<[T; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut T) {
        // SAFETY: the caller vouches for 4 writable values.
        unsafe { to.cast::<[T; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        Self(std::array::from_fn(|i| a.0[i] * b.0[i] + self.0[i]))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i] + other.0[i]))
    }

    #[inline(always)]
    unsafe fn positive(self) -> Self {
        Self(self.0.map(|v| if v < T::ZERO { T::ZERO } else { v }))
    }
}

/// Four lanes of two bf16 each in plain Rust: the arithmetic of AVX512-BF16 for all other machines.
#[derive(Clone, Copy)]
pub(crate) struct PlainPairs(Plain<f32>);

// SAFETY: plain Rust; reads and writes 4 values, unaligned.
unsafe impl Vector for PlainPairs {
    type Value = f32;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        // SAFETY: plain Rust.
        Self(unsafe { Plain::splat(value) })
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for 4 readable values.
        Self(unsafe { Plain::load(from) })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for 4 writable values.
        unsafe { self.0.store(to) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        let [a, b] = [a, b].map(|v| v.0.0.map(crate::pair::halves));
        let both = |i: usize| a[i][0] * b[i][0] + a[i][1] * b[i][1];
        Self(Plain(std::array::from_fn(|i| self.0.0[i] + both(i))))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        // SAFETY: plain Rust.
        Self(unsafe { self.0.add(other.0) })
    }

    #[inline(always)]
    unsafe fn positive(self) -> Self {
        // SAFETY: plain Rust.
        Self(unsafe { self.0.positive() })
    }
}

/// Four lanes of four whole numbers each in plain Rust: the arithmetic of AVX512-VNNI for all other machines.
#[derive(Clone, Copy)]
pub(crate) struct PlainQuads([i32; 4]);

// SAFETY: plain Rust; reads and writes 4 values, unaligned.
unsafe impl Vector for PlainQuads {
    type Value = f32;
    const LANES: usize = 4;

    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        Self([value.to_bits() as i32; 4])
    }

    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for 4 readable values, of as many bits.
        Self(unsafe { from.cast::<[i32; 4]>().read_unaligned() })
    }

    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for 4 writable values, of as many bits.
        unsafe { to.cast::<[i32; 4]>().write_unaligned(self.0) }
    }

    #[inline(always)]
    unsafe fn add_product(self, a: Self, b: Self) -> Self {
        let products = |i: usize| -> i32 {
            let (a, b) = (a.0[i].to_le_bytes(), b.0[i].to_le_bytes());
            a.iter().zip(b).map(|(&a, b)| i32::from(a) * i32::from(b.cast_signed())).sum()
        };
        Self(std::array::from_fn(|i| self.0[i].wrapping_add(products(i))))
    }

    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        Self(std::array::from_fn(|i| self.0[i].wrapping_add(other.0[i])))
    }

    #[inline(always)]
    unsafe fn positive(self) -> Self {
        Self(self.0.map(|v| v.max(0)))
    }
}

#[cfg(target_arch = "aarch64")]
pub(crate) use neon::{Neon, NeonDouble};
#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx2Double, Avx512, Avx512Double, Avx512Pairs, Avx512Quads};

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
/// A register: name, number type, intrinsic type, lanes, intrinsics.
macro_rules! register {
    ($doc:literal, $name:ident, $value:ty, $raw:ty, $lanes:literal, $splat:ident, $load:ident, $store:ident,
     $fma:ident, $add:ident, $max:ident) => {
        #[doc = $doc]
        #[derive(Clone, Copy)]
        pub(crate) struct $name($raw);

        // SAFETY: every function uses the named instructions alone and reads or writes all lanes, unaligned.
        unsafe impl Vector for $name {
            type Value = $value;
            const LANES: usize = $lanes;

            #[inline(always)]
            unsafe fn splat(value: $value) -> Self {
                // SAFETY: the caller vouches for the instructions.
                Self(unsafe { $splat(value) })
            }

            #[inline(always)]
            unsafe fn load(from: *const $value) -> Self {
                // SAFETY: the caller vouches for the instructions and the values.
                Self(unsafe { $load(from) })
            }

            #[inline(always)]
            unsafe fn store(self, to: *mut $value) {
                // SAFETY: the caller vouches for the instructions and the values.
                unsafe { $store(to, self.0) }
            }

            #[inline(always)]
            unsafe fn add_product(self, a: Self, b: Self) -> Self {
                // SAFETY: the caller vouches for the instructions.
                Self(unsafe { $fma(a.0, b.0, self.0) })
            }

            #[inline(always)]
            unsafe fn add(self, other: Self) -> Self {
                // SAFETY: the caller vouches for the instructions.
                Self(unsafe { $add(self.0, other.0) })
            }

            #[inline(always)]
            unsafe fn positive(self) -> Self {
                // On x86 the second operand comes out where one is NaN, on ARM a NaN does.
                // SAFETY: the caller vouches for the instructions.
                Self(unsafe { $max($splat(0.), self.0) })
            }
        }
    };
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::Vector;
    use std::arch::x86_64::*;

    register!(
        "16 lanes; needs AVX-512F.",
        Avx512,
        f32,
        __m512,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        _mm512_fmadd_ps,
        _mm512_add_ps,
        _mm512_max_ps
    );
    /// The sum plus both products of every two pairs.
    #[inline(always)]
    unsafe fn pairs(a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: the caller vouches for the instructions; the registers are the same 512 bits.
        unsafe {
            let [a, b] = [a, b].map(|v| std::mem::transmute::<__m512, __m512bh>(v));
            _mm512_dpbf16_ps(sum, a, b)
        }
    }

    register!(
        "16 lanes of two bf16 each, whose products are both added to a sum in f32; needs AVX512-BF16.",
        Avx512Pairs,
        f32,
        __m512,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        pairs,
        _mm512_add_ps,
        _mm512_max_ps
    );
    /// The sum plus the four products of every two quads: whole numbers of 32 bits, the first factor without a sign.
    #[inline(always)]
    unsafe fn quads(a: __m512, b: __m512, sum: __m512) -> __m512 {
        // SAFETY: the caller vouches for the instructions.
        unsafe {
            let [a, b, sum] = [a, b, sum].map(|v| _mm512_castps_si512(v));
            _mm512_castsi512_ps(_mm512_dpbusd_epi32(sum, a, b))
        }
    }

    #[inline(always)]
    unsafe fn add_whole(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the caller vouches for the instructions.
        unsafe { _mm512_castsi512_ps(_mm512_add_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
    }

    #[inline(always)]
    unsafe fn larger_whole(a: __m512, b: __m512) -> __m512 {
        // SAFETY: the caller vouches for the instructions.
        unsafe { _mm512_castsi512_ps(_mm512_max_epi32(_mm512_castps_si512(a), _mm512_castps_si512(b))) }
    }

    register!(
        "16 lanes of four whole numbers of 8 bits each, whose products are added to a whole number of 32; needs AVX512-VNNI.",
        Avx512Quads,
        f32,
        __m512,
        16,
        _mm512_set1_ps,
        _mm512_loadu_ps,
        _mm512_storeu_ps,
        quads,
        add_whole,
        larger_whole
    );
    register!(
        "8 lanes; needs AVX2 and FMA.",
        Avx2,
        f32,
        __m256,
        8,
        _mm256_set1_ps,
        _mm256_loadu_ps,
        _mm256_storeu_ps,
        _mm256_fmadd_ps,
        _mm256_add_ps,
        _mm256_max_ps
    );
    register!(
        "8 lanes of f64; needs AVX-512F.",
        Avx512Double,
        f64,
        __m512d,
        8,
        _mm512_set1_pd,
        _mm512_loadu_pd,
        _mm512_storeu_pd,
        _mm512_fmadd_pd,
        _mm512_add_pd,
        _mm512_max_pd
    );
    register!(
        "4 lanes of f64; needs AVX2 and FMA.",
        Avx2Double,
        f64,
        __m256d,
        4,
        _mm256_set1_pd,
        _mm256_loadu_pd,
        _mm256_storeu_pd,
        _mm256_fmadd_pd,
        _mm256_add_pd,
        _mm256_max_pd
    );
}

#[cfg(target_arch = "aarch64")]
mod neon {
    use super::Vector;
    use std::arch::aarch64::*;

    /// `a b + sum`: the intrinsics take the sum first.
    #[inline(always)]
    unsafe fn fma(a: float32x4_t, b: float32x4_t, sum: float32x4_t) -> float32x4_t {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { vfmaq_f32(sum, a, b) }
    }

    /// The same of f64.
    #[inline(always)]
    unsafe fn fma_double(a: float64x2_t, b: float64x2_t, sum: float64x2_t) -> float64x2_t {
        // SAFETY: every 64-bit ARM has NEON.
        unsafe { vfmaq_f64(sum, a, b) }
    }

    register!(
        "4 lanes of NEON.",
        Neon,
        f32,
        float32x4_t,
        4,
        vdupq_n_f32,
        vld1q_f32,
        vst1q_f32,
        fma,
        vaddq_f32,
        vmaxq_f32
    );
    register!(
        "2 lanes of f64 of NEON.",
        NeonDouble,
        f64,
        float64x2_t,
        2,
        vdupq_n_f64,
        vld1q_f64,
        vst1q_f64,
        fma_double,
        vaddq_f64,
        vmaxq_f64
    );
}
