//! Kernels on a CUDA stream of candle's.

use super::{Buffer, In, Kernel, Launch, Params};
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, CudaStream, DevicePtr, DevicePtrMut, DeviceRepr, LaunchConfig,
    PushKernelArg, SyncOnDrop, sys,
};
use candle_core::cuda_backend::cudarc::nvrtc::{CompileOptions, compile_ptx_with_opts};
use candle_core::cuda_backend::{CudaStorageSlice, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Layout, Result, Shape, Storage, Tensor, bail};
use std::collections::HashMap;
use std::ops::Deref;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

// SAFETY: plain numbers without padding, laid out as the kernels' struct.
unsafe impl DeviceRepr for Params {}

/// Our kernels in a context.
struct Loaded {
    module: Arc<CudaModule>,
    /// Those that were started before: looking them up costs as much as a start.
    functions: Mutex<HashMap<Kernel, CudaFunction>>,
}

/// A device with our kernels.
#[derive(Clone)]
pub(crate) struct Cuda {
    device: CudaDevice,
    loaded: Arc<Loaded>,
}

impl std::fmt::Debug for Cuda {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Cuda({:?})", self.device)
    }
}

/// Kernels of every context in which they were loaded, by its address: a context is not given up while a module is held.
fn all() -> &'static Mutex<HashMap<usize, Arc<Loaded>>> {
    static ALL: OnceLock<Mutex<HashMap<usize, Arc<Loaded>>>> = OnceLock::new();
    ALL.get_or_init(Mutex::default)
}

fn load(context: &Arc<CudaContext>) -> Result<Arc<Loaded>> {
    keep_memory(context)?;
    let (major, minor) = context.compute_capability().w()?;
    let text = include_str!("../../kernels/layers.cu");
    // A compiler older than the device does not know its name; the driver compiles what is for older ones.
    let known = [format!("{major}{minor}"), "90".to_owned(), "80".to_owned()];
    let mut tried = known.iter().map(|gpu| {
        let options = vec!["--std=c++17".to_owned(), format!("--gpu-architecture=compute_{gpu}")];
        compile_ptx_with_opts(text, CompileOptions { options, ..CompileOptions::default() })
    });
    let ptx = match tried.find_map(std::result::Result::ok) {
        Some(ptx) => ptx,
        None => bail!(
            "npair: the layers' kernels do not compile for compute capability {major}.{minor}: install NVRTC of CUDA 12 or 13 \
             (pip install nvidia-cuda-nvrtc), or build without the feature `cuda`"
        ),
    };
    Ok(Arc::new(Loaded { module: context.load_module(ptx).w()?, functions: Mutex::default() }))
}

/// Has the driver keep memory that was given up for whoever asks next: given back to the system at every wait for the device, it
/// would have to be asked for anew in every step.
fn keep_memory(context: &CudaContext) -> Result<()> {
    if !context.has_async_alloc() {
        return Ok(());
    }
    let mut pool = std::ptr::null_mut();
    let mut all = u64::MAX;
    // SAFETY: the pool is the device's own, and the attribute a number of 64 bits that is read before the call returns.
    unsafe {
        sys::cuDeviceGetDefaultMemPool(&mut pool, context.cu_device()).result().w()?;
        let what = sys::CUmemPool_attribute::CU_MEMPOOL_ATTR_RELEASE_THRESHOLD;
        sys::cuMemPoolSetAttribute(pool, what, std::ptr::from_mut(&mut all).cast()).result().w()
    }
}

/// Address of a slice's value, and what has to be held until the kernel was started.
fn address<'a, T>(slice: &'a CudaSlice<T>, stream: &'a Arc<CudaStream>, from: usize) -> (u64, SyncOnDrop<'a>) {
    let (at, held) = slice.device_ptr(stream);
    (at + (from * size_of::<T>()) as u64, held)
}

pub(super) fn read<'a>(
    storage: &'a CudaStorage,
    stream: &'a Arc<CudaStream>,
    from: usize,
) -> Result<(u64, SyncOnDrop<'a>)> {
    Ok(match &storage.slice {
        CudaStorageSlice::F32(slice) => address(slice, stream, from),
        CudaStorageSlice::BF16(slice) => address(slice, stream, from),
        CudaStorageSlice::U8(slice) => address(slice, stream, from),
        _ => bail!("npair: the layers' kernels know f32, bf16 and bytes"),
    })
}

pub(super) fn written<'a>(storage: &'a mut CudaStorage, stream: &'a Arc<CudaStream>) -> Result<(u64, SyncOnDrop<'a>)> {
    Ok(match &mut storage.slice {
        CudaStorageSlice::F32(slice) => slice.device_ptr_mut(stream),
        CudaStorageSlice::BF16(slice) => slice.device_ptr_mut(stream),
        CudaStorageSlice::U8(slice) => slice.device_ptr_mut(stream),
        _ => bail!("npair: the layers' kernels know f32, bf16 and bytes"),
    })
}

pub(super) fn tensor(storage: CudaStorage, shape: Shape) -> Tensor {
    Tensor::from_storage(Storage::Cuda(storage), shape, BackpropOp::none(), false)
}

impl Cuda {
    pub(super) fn of(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        let context = stream.context();
        let mut all = all().lock().unwrap_or_else(PoisonError::into_inner);
        let key = Arc::as_ptr(context) as usize;
        let loaded = match all.get(&key) {
            Some(loaded) => loaded.clone(),
            None => {
                // SAFETY: one stream does everything on this device, in the order in which it is asked.
                unsafe { device.disable_event_tracking() };
                all.entry(key).or_insert(load(context)?).clone()
            }
        };
        Ok(Self { device: device.clone(), loaded })
    }

    #[cfg(feature = "cudnn")]
    pub(super) fn device(&self) -> &CudaDevice {
        &self.device
    }

    pub(super) fn room(&self, dtype: DType, values: usize) -> Result<CudaStorage> {
        let device = self.device.clone();
        // SAFETY: what a kernel reads of a buffer was written by a kernel before: buffers begin as outputs.
        Ok(unsafe {
            match dtype {
                DType::F32 => CudaStorage::wrap_cuda_slice(device.alloc::<f32>(values)?, device),
                DType::BF16 => CudaStorage::wrap_cuda_slice(device.alloc::<half::bf16>(values)?, device),
                DType::U8 => CudaStorage::wrap_cuda_slice(device.alloc::<u8>(values)?, device),
                other => bail!("npair: no kernels of layers for {other:?}"),
            }
        })
    }

    fn function(&self, name: Kernel) -> Result<CudaFunction> {
        let mut known = self.loaded.functions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(function) = known.get(&name) {
            return Ok(function.clone());
        }
        let function = self.loaded.module.load_function(&name.to_string()).w()?;
        known.insert(name, function.clone());
        Ok(function)
    }

    /// Where what a kernel reads lies.
    fn address<'a>(
        &self,
        kernel: Kernel,
        input: &'a In<'a>,
        guard: Option<&'a (impl Deref<Target = Storage>, &'a Layout)>,
        stream: &'a Arc<CudaStream>,
    ) -> Result<Option<(u64, SyncOnDrop<'a>)>> {
        match (input, guard) {
            (In::Buffer(Buffer::Cuda(storage)), _) => Ok(Some(read(storage, stream, 0)?)),
            (_, Some((storage, layout))) => match &**storage {
                Storage::Cuda(storage) => Ok(Some(read(storage, stream, layout.start_offset())?)),
                _ => bail!("npair: {kernel}: an operand is not on the device"),
            },
            _ => Ok(None),
        }
    }

    pub(super) fn launch(&self, launch: Launch<'_, '_>) -> Result<()> {
        let Launch { kernel, blocks, threads, shared, places, outs, ins, params } = launch;
        let (function, stream) = (self.function(kernel)?, self.device.cuda_stream());
        let changed: Vec<In<'_>> = places.iter().map(|tensor| In::Tensor(tensor)).collect();
        let guards: Vec<_> = changed
            .iter()
            .chain(ins)
            .map(|read| match read {
                In::Tensor(tensor) => Some(tensor.storage_and_layout()),
                _ => None,
            })
            .collect();
        let (mut addresses, mut held) = (Vec::with_capacity(outs.len() + ins.len()), Vec::new());
        let mut all = changed.iter().chain(ins).zip(&guards);
        for (input, guard) in all.by_ref().take(places.len()) {
            let (at, hold) = self.address(kernel, input, guard.as_ref(), &stream)?.unzip();
            addresses.push(at.unwrap_or_default());
            held.extend(hold);
        }
        for out in outs.iter_mut() {
            let found = match out {
                Some(Buffer::Cuda(storage)) => Some(written(storage, &stream)?),
                #[cfg(test)]
                Some(Buffer::Emulated(_)) => bail!("npair: {kernel}: a buffer of the tests"),
                None => None,
            };
            addresses.push(found.as_ref().map_or(0, |f| f.0));
            held.extend(found.map(|f| f.1));
        }
        for (input, guard) in all {
            let (at, hold) = self.address(kernel, input, guard.as_ref(), &stream)?.unzip();
            addresses.push(at.unwrap_or_default());
            held.extend(hold);
        }
        let mut builder = stream.launch_builder(&function);
        for address in &addresses {
            builder.arg(address);
        }
        builder.arg(&params);
        let config = LaunchConfig {
            grid_dim: (blocks[0] as u32, blocks[1] as u32, 1),
            block_dim: (threads as u32, 1, 1),
            shared_mem_bytes: shared as u32,
        };
        // SAFETY: the arguments are those that the kernel of this name has, in its order; what they point to is held until
        // here, and given up in the order of the stream.
        unsafe { builder.launch(config) }.w()?;
        drop(held);
        Ok(())
    }
}
