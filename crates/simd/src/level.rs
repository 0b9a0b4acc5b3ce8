/// The widest vector instructions that this crate has kernels for and that the machine has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// What the target has at least.
    Baseline,
    /// NEON, which every 64-bit ARM has.
    #[cfg(target_arch = "aarch64")]
    Neon,
    /// AVX2 and FMA.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// AVX-512: foundation, byte and word, double and quad word, vector length.
    #[cfg(target_arch = "x86_64")]
    Avx512,
}

impl Level {
    /// What this machine has; the standard library asks it once and remembers.
    pub fn detect() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            let wide = is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512bw")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512vl");
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                return if wide { Self::Avx512 } else { Self::Avx2 };
            }
        }
        #[cfg(target_arch = "aarch64")]
        return Self::Neon;
        #[cfg(not(target_arch = "aarch64"))]
        Self::Baseline
    }
}

/// Functions compiled for each level of vector instructions and called for the machine's own, for loops that the
/// compiler vectorises by itself. The result is the same bits: without being asked, the compiler neither fuses nor
/// reorders floating-point operations.
///
/// A function, not a closure that is handed on: a long closure is not inlined into the function that has the
/// instructions, and silently runs without them.
#[macro_export]
macro_rules! vectorised {
    ($(
        $(#[$meta:meta])*
        $vis:vis fn $name:ident<$($g:ident : $bound:path),*>($($arg:ident : $ty:ty),* $(,)?) $(-> $ret:ty)? $body:block
    )*) => {$(
        $(#[$meta])*
        $vis fn $name<$($g: $bound),*>($($arg: $ty),*) $(-> $ret)? {
            #[inline(always)]
            fn body<$($g: $bound),*>($($arg: $ty),*) $(-> $ret)? $body

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma")]
            fn avx2<$($g: $bound),*>($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }

            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
            fn avx512<$($g: $bound),*>($($arg: $ty),*) $(-> $ret)? {
                body($($arg),*)
            }

            match $crate::Level::detect() {
                $crate::Level::Baseline => body($($arg),*),
                #[cfg(target_arch = "aarch64")]
                // The compiler may use NEON everywhere.
                $crate::Level::Neon => body($($arg),*),
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the machine has AVX2 and FMA (`Level::detect`).
                $crate::Level::Avx2 => unsafe { avx2($($arg),*) },
                #[cfg(target_arch = "x86_64")]
                // SAFETY: the machine has these parts of AVX-512 (`Level::detect`).
                $crate::Level::Avx512 => unsafe { avx512($($arg),*) },
            }
        }
    )*};
}
