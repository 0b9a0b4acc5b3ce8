//! What the products of networks are made of.

use candle_core::{Result, Tensor};
use std::sync::atomic::{AtomicU8, Ordering};

/// What products and convolutions of networks are made of. Parameters, optimizers, statistics of norms and losses are f32 whatever it
/// is, and so are the sums within a kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum NetPrecision {
    /// f32: 24 bits of each factor.
    #[default]
    F32,
    /// On CUDA f32 that is multiplied as tf32, with 11 bits of each factor: what PyTorch's convolutions do by default; several times as
    /// fast. Elsewhere f32.
    Tf32,
    /// bf16, 8 bits of each factor. On CUDA values and their gradients are bf16, too: half the memory and traffic, as PyTorch's autocast
    /// does it, and so are the weights' gradients before they are f32. On the CPU values stay f32, and products are of pairs of bf16 where
    /// channels are even: fast where the processor has them ([`sixteen_bit_products`]), slow elsewhere. Those of 3 x 3 windows that f32 makes
    /// fewer of (Winograd) stay f32: that is faster still.
    Bf16,
}

/// Whether this machine's processor multiplies bf16 ([`NetPrecision::Bf16`] on the CPU): AVX512-BF16 for now.
pub fn sixteen_bit_products() -> bool {
    npair_simd::pairs_can_be_multiplied()
}

/// That of the process.
static CHOSEN: AtomicU8 = AtomicU8::new(NetPrecision::F32 as u8);

impl NetPrecision {
    /// Takes it for all passes of this process that begin from now on.
    pub fn choose(self) {
        CHOSEN.store(self as u8, Ordering::Relaxed);
    }

    /// The one that is taken.
    pub fn chosen() -> Self {
        match CHOSEN.load(Ordering::Relaxed) {
            0 => Self::F32,
            1 => Self::Tf32,
            _ => Self::Bf16,
        }
    }
}

/// A product of a pass: of f32, as the precision says.
pub(crate) fn product(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if a.device().is_cuda() {
        use candle_core::cuda_backend::{gemm_reduced_precision_f32, set_gemm_reduced_precision_f32};
        static ONE_AT_A_TIME: std::sync::Mutex<()> = std::sync::Mutex::new(());
        let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        // candle asks when a product is started; nobody else's are meant.
        let before = gemm_reduced_precision_f32();
        set_gemm_reduced_precision_f32(NetPrecision::chosen() != NetPrecision::F32);
        let out = a.matmul(b);
        set_gemm_reduced_precision_f32(before);
        return out;
    }
    a.matmul(b)
}
