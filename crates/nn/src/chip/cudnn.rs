//! cuDNN's convolutions of images whose channels are last: values and both gradients.
//!
//! An algorithm is what cuDNN's heuristics put first among those that give the same bits every time.

use super::cuda::{Cuda, read, written};
use crate::NetPrecision;
use crate::kernel::conv::Geometry;
use candle_core::cuda_backend::WrapErr;
use candle_core::cuda_backend::cudarc::cudnn::result::{self, CudnnError};
use candle_core::cuda_backend::cudarc::cudnn::sys;
use candle_core::cuda_backend::cudarc::driver::CudaStream;
use candle_core::{CudaStorage, DType, Error, Result, Storage, Tensor, bail};
use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::{c_int, c_void};
use std::sync::Arc;

/// What is found of the other two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Work {
    /// Maps of images and weights.
    Forward,
    /// The weights' gradient of images and the maps' gradient.
    Weight,
    /// The images' gradient of weights and the maps' gradient.
    Input,
}

/// What is multiplied: the type of all operands, and whether f32 may be tf32.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Kind {
    dtype: DType,
    fast: bool,
}

/// An algorithm of cuDNN's.
#[derive(Debug, Clone, Copy)]
enum Algorithm {
    Forward(sys::cudnnConvolutionFwdAlgo_t),
    Weight(sys::cudnnConvolutionBwdFilterAlgo_t),
    Input(sys::cudnnConvolutionBwdDataAlgo_t),
}

/// An algorithm, and the bytes that it works in.
#[derive(Debug, Clone, Copy)]
struct Choice {
    algorithm: Algorithm,
    room: usize,
}

/// The most bytes that an algorithm may ask for.
const MOST: usize = 1 << 30;

/// A handle of this thread for a stream, and what was chosen with it.
struct Handle {
    handle: sys::cudnnHandle_t,
    /// Held as long as the handle.
    _stream: Arc<CudaStream>,
    /// None where cuDNN does not take it.
    chosen: HashMap<(Geometry, Work, Kind), Option<Choice>>,
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by `create_handle` and given up once. What it says at a thread's end helps nobody.
        let _ = unsafe { result::destroy_handle(self.handle) };
    }
}

thread_local! {
    // A handle belongs to a thread.
    static HANDLES: RefCell<HashMap<usize, Handle>> = RefCell::new(HashMap::new());
}

fn said(why: CudnnError) -> Error {
    Error::Msg(format!("npair: cuDNN: {why:?}"))
}

/// The first of what one of cuDNN's functions suggests that fits: three functions and types of one shape.
macro_rules! suggested {
    ($($ask:ident)::+ ( $($operand:expr),+ ), $suggestion:ty, $algorithm:path) => {{
        let mut found = [std::mem::zeroed::<$suggestion>(); SUGGESTIONS];
        let mut count = 0;
        $($ask)::+($($operand),+, SUGGESTIONS as c_int, &mut count, found.as_mut_ptr())?;
        let fits = |f: &&$suggestion| fits(f.status, f.determinism, f.memory);
        let chosen = found.iter().take(count as usize).find(fits);
        Ok(chosen.map(|f| Choice { algorithm: $algorithm(f.algo), room: f.memory }))
    }};
}

/// What cuDNN knows operands by.
struct Operands {
    images: sys::cudnnTensorDescriptor_t,
    weights: sys::cudnnFilterDescriptor_t,
    maps: sys::cudnnTensorDescriptor_t,
    convolution: sys::cudnnConvolutionDescriptor_t,
}

impl Operands {
    fn new(g: &Geometry, kind: Kind) -> std::result::Result<Self, CudnnError> {
        let made = Self {
            images: result::create_tensor_descriptor()?,
            weights: result::create_filter_descriptor()?,
            maps: result::create_tensor_descriptor()?,
            convolution: result::create_convolution_descriptor()?,
        };
        let (last, float) = (
            sys::cudnnTensorFormat_t::CUDNN_TENSOR_NHWC,
            match kind.dtype {
                DType::BF16 => sys::cudnnDataType_t::CUDNN_DATA_BFLOAT16,
                _ => sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            },
        );
        let four = |numbers: [usize; 4]| numbers.map(|number| number as c_int);
        let [height, width] = [|pair: (usize, usize)| pair.0 as c_int, |pair: (usize, usize)| pair.1 as c_int];
        // The default lets f32 be multiplied as tf32, and 16 bits by no tensor core.
        let math = match (kind.dtype, kind.fast) {
            (DType::BF16, _) => sys::cudnnMathType_t::CUDNN_TENSOR_OP_MATH,
            (_, true) => sys::cudnnMathType_t::CUDNN_DEFAULT_MATH,
            (_, false) => sys::cudnnMathType_t::CUDNN_FMA_MATH,
        };
        // SAFETY: the descriptors were just made.
        unsafe {
            result::set_tensor4d_descriptor(made.images, last, float, four([g.batch, g.inputs, g.image.0, g.image.1]))?;
            result::set_tensor4d_descriptor(made.maps, last, float, four([g.batch, g.outputs, g.map.0, g.map.1]))?;
            result::set_filter4d_descriptor(
                made.weights,
                float,
                last,
                four([g.outputs, g.group_inputs(), g.kernel.0, g.kernel.1]),
            )?;
            result::set_convolution2d_descriptor(
                made.convolution,
                height(g.padding),
                width(g.padding),
                height(g.stride),
                width(g.stride),
                height(g.dilation),
                width(g.dilation),
                sys::cudnnConvolutionMode_t::CUDNN_CROSS_CORRELATION,
                sys::cudnnDataType_t::CUDNN_DATA_FLOAT,
            )?;
            result::set_convolution_group_count(made.convolution, g.groups as c_int)?;
            result::set_convolution_math_type(made.convolution, math)?;
        }
        Ok(made)
    }

    /// The first of cuDNN's suggestions that gives the same bits every time.
    fn choose(&self, handle: sys::cudnnHandle_t, work: Work) -> std::result::Result<Option<Choice>, CudnnError> {
        // SAFETY: handle and descriptors are alive, and there is room for as many suggestions as are asked for.
        unsafe {
            match work {
                Work::Forward => suggested!(
                    result::get_convolution_forward_algorithm(
                        handle,
                        self.images,
                        self.weights,
                        self.convolution,
                        self.maps
                    ),
                    sys::cudnnConvolutionFwdAlgoPerf_t,
                    Algorithm::Forward
                ),
                Work::Weight => suggested!(
                    result::get_convolution_backward_filter_algorithm(
                        handle,
                        self.images,
                        self.maps,
                        self.convolution,
                        self.weights
                    ),
                    sys::cudnnConvolutionBwdFilterAlgoPerf_t,
                    Algorithm::Weight
                ),
                Work::Input => suggested!(
                    result::get_convolution_backward_data_algorithm(
                        handle,
                        self.weights,
                        self.maps,
                        self.convolution,
                        self.images
                    ),
                    sys::cudnnConvolutionBwdDataAlgoPerf_t,
                    Algorithm::Input
                ),
            }
        }
    }

    /// Starts it: the addresses of the two operands in the order of [`Work`], of the result and of the room.
    ///
    /// # Safety
    /// They are addresses on the device of as many values as the descriptors say, and of the choice's room.
    unsafe fn start(
        &self,
        handle: sys::cudnnHandle_t,
        choice: Choice,
        [a, b, out, room]: [u64; 4],
    ) -> std::result::Result<(), CudnnError> {
        let (one, zero) = (1f32, 0f32);
        let [one, zero] = [&one, &zero].map(|number| std::ptr::from_ref(number).cast::<c_void>());
        let [a, b] = [a, b].map(|address| address as *const c_void);
        let [out, room] = [out, room].map(|address| address as *mut c_void);
        let Self { images, weights, maps, convolution } = *self;
        // SAFETY: as the caller says.
        unsafe {
            match choice.algorithm {
                Algorithm::Forward(algorithm) => result::convolution_forward(
                    handle,
                    one,
                    images,
                    a,
                    weights,
                    b,
                    convolution,
                    algorithm,
                    room,
                    choice.room,
                    zero,
                    maps,
                    out,
                ),
                Algorithm::Weight(algorithm) => result::convolution_backward_filter(
                    handle,
                    one,
                    images,
                    a,
                    maps,
                    b,
                    convolution,
                    algorithm,
                    room,
                    choice.room,
                    zero,
                    weights,
                    out,
                ),
                Algorithm::Input(algorithm) => result::convolution_backward_data(
                    handle,
                    one,
                    weights,
                    a,
                    maps,
                    b,
                    convolution,
                    algorithm,
                    room,
                    choice.room,
                    zero,
                    images,
                    out,
                ),
            }
        }
    }
}

impl Drop for Operands {
    fn drop(&mut self) {
        // SAFETY: made by the functions of these names and given up once; there is nobody to tell.
        unsafe {
            let _ = result::destroy_tensor_descriptor(self.images);
            let _ = result::destroy_filter_descriptor(self.weights);
            let _ = result::destroy_tensor_descriptor(self.maps);
            let _ = result::destroy_convolution_descriptor(self.convolution);
        }
    }
}

const SUGGESTIONS: usize = 8;

fn fits(status: sys::cudnnStatus_t, determinism: sys::cudnnDeterminism_t, memory: usize) -> bool {
    status == sys::cudnnStatus_t::CUDNN_STATUS_SUCCESS
        && determinism == sys::cudnnDeterminism_t::CUDNN_DETERMINISTIC
        && memory <= MOST
}

/// The result of a work on two contiguous operands, whose channels are last; `None` where cuDNN does not take them.
pub(super) fn run(cuda: &Cuda, g: &Geometry, work: Work, a: &Tensor, b: &Tensor) -> Result<Option<CudaStorage>> {
    let device = cuda.device();
    let stream = device.cuda_stream();
    let kind = Kind { dtype: a.dtype(), fast: NetPrecision::chosen() != NetPrecision::F32 };
    let operands = Operands::new(g, kind).map_err(said)?;
    HANDLES.with_borrow_mut(|handles| {
        let key = Arc::as_ptr(&stream) as usize;
        let handle = match handles.entry(key) {
            std::collections::hash_map::Entry::Occupied(known) => known.into_mut(),
            std::collections::hash_map::Entry::Vacant(room) => room.insert(open(&stream)?),
        };
        let choice = match handle.chosen.get(&(*g, work, kind)) {
            Some(known) => *known,
            None => {
                // That it does not take something, cuDNN says as an error.
                let found = operands.choose(handle.handle, work).unwrap_or_default();
                handle.chosen.insert((*g, work, kind), found);
                found
            }
        };
        let Some(choice) = choice else { return Ok(None) };
        let values = match work {
            Work::Forward => g.batch * g.map_pixels() * g.outputs,
            Work::Weight => g.outputs * g.patch(),
            Work::Input => g.batch * g.pixels() * g.inputs,
        };
        let (mut out, mut room) = (cuda.room(a.dtype(), values)?, cuda.room(DType::U8, choice.room.max(1))?);
        let (first, second) = (a.storage_and_layout(), b.storage_and_layout());
        let (Storage::Cuda(a), Storage::Cuda(b)) = (&*first.0, &*second.0) else {
            bail!("npair: an operand of a convolution is not on the device")
        };
        let (a, b) = (read(a, &stream, first.1.start_offset())?, read(b, &stream, second.1.start_offset())?);
        {
            let (to, within) = (written(&mut out, &stream)?, written(&mut room, &stream)?);
            // SAFETY: the operands have as many values as the geometry says, and the room what was asked for.
            let started = unsafe { operands.start(handle.handle, choice, [a.0, b.0, to.0, within.0]) };
            if started.is_err() {
                // Suggested, and refused all the same: windows are gathered from here on.
                handle.chosen.insert((*g, work, kind), None);
                return Ok(None);
            }
        }
        drop((a, b));
        Ok(Some(out))
    })
}

fn open(stream: &Arc<CudaStream>) -> Result<Handle> {
    stream.context().bind_to_thread().w()?;
    let handle = result::create_handle().map_err(said)?;
    let made = Handle { handle, _stream: stream.clone(), chosen: HashMap::new() };
    // SAFETY: both are alive, and the stream as long as the handle.
    unsafe { result::set_stream(handle, stream.cu_stream().cast()) }.map_err(said)?;
    Ok(made)
}
