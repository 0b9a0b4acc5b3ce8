//! What the host has to know of the kernels: the constants in their sources.

/// `npair-similarity-cuda/kernels/product.cuh`.
#[cfg(any(feature = "cuda", test))]
pub(crate) mod cuda {
    use crate::device::{Groups, Precision, Tiles};
    use candle_core::DType;

    pub(crate) const TILES: Tiles = Tiles {
        rows: 128,
        columns: 256,
        narrow: 128,
        wide: 256,
        threads: 256,
        shared: 96 << 10,
        candidates: 11_776,
        beside: usize::MAX,
        slices: 8,
        pruning: 1024,
    };

    /// `npair-similarity-cuda/kernels/hopper.cu`, for compute capability 9.0 with so many multiprocessors.
    pub(crate) fn groups(dtype: DType, multiprocessors: usize) -> Option<Groups> {
        let stages = 4 * (128 + 256) * 64 * 2;
        let all =
            Groups { blocks: multiprocessors, threads: 384, shared: stages + 1024 + 128, wide: 256, kept: 2 << 30 };
        matches!(dtype, DType::BF16 | DType::F16).then_some(all)
    }

    /// The part of their names for sides of a type.
    pub(crate) fn variant(dtype: DType, precision: Precision) -> Option<&'static str> {
        match (dtype, precision) {
            (DType::BF16, _) => Some("bf16"),
            (DType::F16, _) => Some("f16"),
            (DType::F32, Precision::Split) => Some("split"),
            (DType::F32, Precision::Tf32) => Some("tf32"),
            (DType::F32, Precision::Plain) => Some("f32"),
            _ => None,
        }
    }
}

/// `npair-similarity-metal/kernels/similarity.metal`.
#[cfg(any(all(feature = "metal", target_os = "macos"), test))]
pub(crate) mod metal {
    use crate::device::Tiles;
    use candle_core::DType;

    pub(crate) const TILES: Tiles = Tiles {
        rows: 64,
        columns: 64,
        narrow: 64,
        wide: 64,
        threads: 128,
        // Two factors of 64 rows and 16 steps, then the tile.
        shared: 64 * 64 * 4,
        // Sorted out in 32 KiB.
        candidates: 3_840,
        beside: 1,
        slices: 1,
        pruning: usize::MAX,
    };

    /// The part of their names for sides of a type; every product is of f32.
    pub(crate) fn variant(dtype: DType) -> Option<&'static str> {
        match dtype {
            DType::BF16 => Some("bf16"),
            DType::F16 => Some("f16"),
            DType::F32 => Some("f32"),
            _ => None,
        }
    }
}
