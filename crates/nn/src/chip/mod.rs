//! Kernels of our own for the layers on a CUDA device, of values in f32 or bf16: what [`composed`](crate::composed) asks for before it composes.
//!
//! The text of the kernels (`kernels/layers.cu`) is compiled for the device when it is first used, so a build needs no nvcc.
//! Convolutions are cuDNN's, where the feature `cudnn` is on. Tests run the kernels as fibers of the CPU.

pub(crate) mod conv;
#[cfg(feature = "cuda")]
mod cuda;
#[cfg(feature = "cudnn")]
mod cudnn;
#[cfg(test)]
pub(crate) mod emulated;
pub(crate) mod norm;
pub(crate) mod optimizer;
pub(crate) mod places;
pub(crate) mod pointwise;
pub(crate) mod pool;
pub(crate) mod response;
pub(crate) mod rows;
mod sums;
#[cfg(test)]
mod tests;

use candle_core::{DType, Result, Shape, Tensor};

/// The numbers that every kernel takes, as `LayerParams` of the kernels has them; what a kernel does not look at is 0.
#[repr(C)]
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Params {
    /// Of the matrix: pixels (of pools: images) and channels.
    pub rows: u32,
    pub columns: u32,
    /// Of a sum over rows: how many parts, and the rows of each.
    pub parts: u32,
    pub share: u32,
    /// Threads of a block that stand side by side.
    pub across: u32,
    /// Of an activation: [`pointwise::kind`].
    pub kind: u32,
    pub height: u32,
    pub width: u32,
    pub kernel_height: u32,
    pub kernel_width: u32,
    pub stride_height: u32,
    pub stride_width: u32,
    pub padding_height: u32,
    pub padding_width: u32,
    pub map_height: u32,
    pub map_width: u32,
    /// Channels before and after one that count.
    pub before: u32,
    pub after: u32,
    pub flags: u32,
    /// What the kernel says.
    pub numbers: [f32; 9],
}

/// A device with our kernels.
#[derive(Debug, Clone)]
pub(crate) enum Chip {
    #[cfg(feature = "cuda")]
    Cuda(cuda::Cuda),
    #[cfg(test)]
    Emulated(std::sync::Arc<emulated::Emulated>),
    /// There is none in this build.
    #[cfg(not(any(feature = "cuda", test)))]
    #[allow(dead_code, reason = "never made")]
    Nowhere,
}

/// Room on a device, for what kernels write.
pub(crate) enum Buffer {
    #[cfg(feature = "cuda")]
    Cuda(candle_core::CudaStorage),
    #[cfg(test)]
    Emulated(emulated::Memory),
    /// There is none in this build.
    #[cfg(not(any(feature = "cuda", test)))]
    #[allow(dead_code, reason = "never made")]
    Nowhere,
}

/// What a kernel reads.
#[derive(Clone, Copy)]
pub(crate) enum In<'a> {
    /// Nothing: the kernel does without.
    Nothing,
    /// A contiguous tensor.
    Tensor(&'a Tensor),
    /// What another kernel has written.
    #[allow(dead_code, reason = "without a device nothing is written")]
    Buffer(&'a Buffer),
}

impl<'a> From<&'a Tensor> for In<'a> {
    fn from(tensor: &'a Tensor) -> Self {
        In::Tensor(tensor)
    }
}

impl<'a> From<Option<&'a Tensor>> for In<'a> {
    fn from(tensor: Option<&'a Tensor>) -> Self {
        tensor.map_or(In::Nothing, In::Tensor)
    }
}

/// A kernel by its name, for one type of values or for both, and for lines of one value or of four.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Kernel {
    name: &'static str,
    bf16: bool,
    each: Option<usize>,
}

impl Kernel {
    /// The only one of its name.
    fn only(name: &'static str) -> Self {
        Self { name, bf16: false, each: None }
    }

    /// The one for values of a type.
    fn of(name: &'static str, dtype: DType) -> Self {
        Self { name, bf16: dtype == DType::BF16, each: None }
    }

    /// The one for single values, or for four at a time where the rows and where the tensors begin allow it; and how many it takes.
    fn by_four(name: &'static str, dtype: DType, columns: usize, tensors: &[In<'_>]) -> (Self, usize) {
        let aligned = |input: &In<'_>| match input {
            In::Tensor(tensor) => tensor.layout().start_offset().is_multiple_of(4),
            _ => true,
        };
        let each = if columns.is_multiple_of(4) && tensors.iter().all(aligned) { 4 } else { 1 };
        (Self { each: Some(each), ..Self::of(name, dtype) }, each)
    }
}

impl std::fmt::Display for Kernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "npair_{}{}", self.name, if self.bf16 { "_bf16" } else { "" })?;
        self.each.map_or(Ok(()), |each| write!(f, "_{each}"))
    }
}

/// A start of a kernel: what changes, outputs, inputs, then the numbers, in the order of its arguments.
#[cfg_attr(not(any(feature = "cuda", test)), allow(dead_code, reason = "nothing is started"))]
pub(crate) struct Launch<'a, 'b> {
    pub kernel: Kernel,
    pub blocks: [usize; 2],
    pub threads: usize,
    /// Bytes of shared memory.
    pub shared: usize,
    /// What is changed in its place: the first arguments.
    pub places: &'a [&'a Tensor],
    /// None where the kernel is to do without.
    pub outs: &'a mut [Option<&'b mut Buffer>],
    pub ins: &'a [In<'a>],
    pub params: Params,
}

/// Threads of a block.
const THREADS: usize = 256;

/// The most blocks that share values among them: some for each of some hundred multiprocessors.
const BLOCKS: usize = 1 << 12;

/// Values above which a kernel's 32-bit places end.
pub(crate) const MOST: usize = 1 << 31;

/// The chip that a tensor lies on, if there are kernels for it and it has values.
pub(crate) fn of(x: &Tensor) -> Result<Option<Chip>> {
    if !matches!(x.dtype(), DType::F32 | DType::BF16) || x.elem_count() == 0 || x.elem_count() >= MOST {
        return Ok(None);
    }
    #[cfg(feature = "cuda")]
    if let candle_core::Device::Cuda(device) = x.device() {
        return Ok(Some(Chip::Cuda(cuda::Cuda::of(device)?)));
    }
    #[cfg(test)]
    if let Some(emulated) = emulated::current() {
        return Ok(Some(Chip::Emulated(emulated)));
    }
    Ok(None)
}

impl Chip {
    /// Room for so many values of f32.
    pub(crate) fn room(&self, values: usize) -> Result<Buffer> {
        self.room_of(DType::F32, values)
    }

    /// Room for so many values of f32, of bf16 or of a byte.
    pub(crate) fn room_of(&self, dtype: DType, values: usize) -> Result<Buffer> {
        match *self {
            #[cfg(feature = "cuda")]
            Chip::Cuda(ref chip) => Ok(Buffer::Cuda(chip.room(dtype, values)?)),
            #[cfg(test)]
            Chip::Emulated(_) => Ok(Buffer::Emulated(emulated::Memory::new(dtype, values))),
            #[cfg(not(any(feature = "cuda", test)))]
            Chip::Nowhere => nothing(&(dtype, values)),
        }
    }

    /// Starts a kernel.
    pub(crate) fn launch(&self, launch: Launch<'_, '_>) -> Result<()> {
        let Params { rows, columns, .. } = launch.params;
        if rows as usize * columns as usize >= MOST {
            let kernel = launch.kernel;
            candle_core::bail!(
                "npair: {kernel}: {rows} x {columns} values are more than a kernel counts: take smaller batches (batch.classes, training.grad_cache)"
            )
        }
        match *self {
            #[cfg(feature = "cuda")]
            Chip::Cuda(ref chip) => chip.launch(launch),
            #[cfg(test)]
            Chip::Emulated(ref chip) => chip.launch(launch),
            #[cfg(not(any(feature = "cuda", test)))]
            Chip::Nowhere => nothing(&(launch.kernel, launch.params)),
        }
    }

    /// What was written, as a tensor.
    pub(crate) fn tensor(&self, buffer: Buffer, shape: impl Into<Shape>) -> Result<Tensor> {
        let shape = shape.into();
        match buffer {
            #[cfg(feature = "cuda")]
            Buffer::Cuda(storage) => Ok(cuda::tensor(storage, shape)),
            #[cfg(test)]
            Buffer::Emulated(memory) => memory.tensor(shape),
            #[cfg(not(any(feature = "cuda", test)))]
            Buffer::Nowhere => nothing(&shape),
        }
    }
}

/// In a build without devices there is no chip to ask.
#[cfg(not(any(feature = "cuda", test)))]
fn nothing<T>(_: &impl std::fmt::Debug) -> Result<T> {
    candle_core::bail!("npair: this build has no kernels for a device")
}

/// Blocks for a kernel that goes through `values`, `each` a thread at a time.
fn blocks(values: usize, each: usize) -> [usize; 2] {
    [values.div_ceil(THREADS * each).clamp(1, BLOCKS), 1]
}

/// Rows and columns of everything before the last axis.
fn extents(x: &Tensor) -> (usize, usize) {
    let columns = x.dims().last().copied().unwrap_or(1).max(1);
    (x.elem_count() / columns, columns)
}

fn params(rows: usize, columns: usize) -> Params {
    Params { rows: rows as u32, columns: columns as u32, ..Params::default() }
}
