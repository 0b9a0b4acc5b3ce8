//! Kernels on a CUDA stream of candle's.

use super::kernels::cuda;
use super::{BOX_WIDTH, Chip, Groups, In, Launch, Map, Precision, Tiles};
use candle_core::cuda_backend::cudarc::driver::{
    CudaContext, CudaFunction, CudaModule, CudaSlice, DevicePtr, DevicePtrMut, DeviceRepr, LaunchConfig, PushKernelArg,
    SyncOnDrop, sys,
};
use candle_core::cuda_backend::cudarc::nvrtc::Ptx;
use candle_core::cuda_backend::{CudaStorageSlice, WrapErr};
use candle_core::op::BackpropOp;
use candle_core::{CudaDevice, CudaStorage, DType, Result, Shape, Storage, Tensor, bail};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

// SAFETY: plain numbers without padding, laid out as the kernels' struct.
unsafe impl DeviceRepr for super::params::Params {}

/// What the copy engine is told of a factor.
#[repr(transparent)]
struct TensorMap(sys::CUtensorMap);

// SAFETY: plain numbers without padding, for kernels that take them by value.
unsafe impl DeviceRepr for TensorMap {}

/// Our kernels in a context.
struct Modules {
    modules: Vec<Arc<CudaModule>>,
    /// Those that were started before, and how much shared memory each may ask for: looking them up costs as much as a start.
    functions: Mutex<HashMap<String, (CudaFunction, usize)>>,
    /// Multiprocessors of a device of compute capability 9.0, which has kernels of its own.
    hopper: Option<usize>,
}

impl Modules {
    fn load(context: &Arc<CudaContext>) -> Result<Self> {
        let hopper = match context.compute_capability().w()? {
            (9, 0) => {
                let count = sys::CUdevice_attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT;
                Some(context.attribute(count).w()? as usize)
            }
            _ => None,
        };
        let images = npair_similarity_cuda::IMAGES.iter();
        let images = images.chain(hopper.iter().map(|_| &npair_similarity_cuda::HOPPER));
        let load = |image: &&[u8]| context.load_module(Ptx::from_binary(image.to_vec())).w();
        let modules = images.map(load).collect::<Result<Vec<_>>>()?;
        Ok(Self { modules, functions: Mutex::default(), hopper })
    }
}

/// A device with our kernels.
pub(crate) struct Cuda {
    device: CudaDevice,
    modules: Arc<Modules>,
}

type Loaded = Mutex<HashMap<usize, Arc<Modules>>>;

/// Kernels of every context in which they were loaded, by its address: a context is not given up while a module is held.
fn loaded() -> &'static Loaded {
    static LOADED: OnceLock<Loaded> = OnceLock::new();
    LOADED.get_or_init(Loaded::default)
}

impl Cuda {
    pub(crate) fn of(device: &CudaDevice) -> Result<Self> {
        let stream = device.cuda_stream();
        let context = stream.context();
        let mut all = loaded().lock().unwrap_or_else(PoisonError::into_inner);
        let key = Arc::as_ptr(context) as usize;
        let modules = match all.get(&key) {
            Some(modules) => modules.clone(),
            None => all.entry(key).or_insert(Arc::new(Modules::load(context)?)).clone(),
        };
        Ok(Self { device: device.clone(), modules })
    }

    fn function(&self, name: &str, shared: usize) -> Result<CudaFunction> {
        let mut all = self.modules.functions.lock().unwrap_or_else(PoisonError::into_inner);
        let (function, allowed) = match all.entry(name.to_owned()) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(room) => {
                let Some(f) = self.modules.modules.iter().find_map(|m| m.load_function(name).ok()) else {
                    bail!("npair: this build has no CUDA kernel {name}")
                };
                room.insert((f, WITHOUT_ASKING))
            }
        };
        if shared > *allowed {
            let what = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
            function.set_attribute(what, shared as i32).w()?;
            *allowed = shared;
        }
        Ok(function.clone())
    }
}

/// Shared memory that every kernel may have.
const WITHOUT_ASKING: usize = 48 << 10;

/// Address of a slice's value, and what has to be held until the kernel was started.
fn address<'a, T>(slice: &'a CudaSlice<T>, stream: &'a Stream, from: usize) -> (u64, SyncOnDrop<'a>) {
    let (at, held) = slice.device_ptr(stream);
    (at + (from * size_of::<T>()) as u64, held)
}

/// Rows of 16-bit values from an address on, swizzled by 128 bytes as they are copied.
fn tensor_map<B>(map: &Map<'_, B>, at: u64, bf16: bool) -> Result<TensorMap> {
    let (line, width, rows) = (2 * map.stride as u64, BOX_WIDTH as u32, map.box_rows as u32);
    if map.woven {
        // Of every 32 rows: a box has c, t, q, and then the next 32.
        let sizes = [map.stride as u64, 2, 4, 4, (map.rows as u64 / 32).max(1)];
        return encoded(at, bf16, sizes, [line, 8 * line, 2 * line, 32 * line], [width, 2, 4, 4, rows / 32]);
    }
    encoded(at, bf16, [map.stride as u64, map.rows as u64], [line], [width, rows])
}

/// A map of `N` dimensions: how long they are, how many bytes apart but for the first, and what a box has of each.
fn encoded<const N: usize, const LESS: usize>(
    at: u64,
    bf16: bool,
    sizes: [u64; N],
    apart: [u64; LESS],
    of_box: [u32; N],
) -> Result<TensorMap> {
    let mut map = sys::CUtensorMap { opaque: [0; 16] };
    let dtype = match bf16 {
        true => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_BFLOAT16,
        false => sys::CUtensorMapDataType::CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
    };
    let steps = [1; N];
    // SAFETY: every pointer is to as many numbers as a factor of so many dimensions has, and read before the call returns.
    let status = unsafe {
        sys::cuTensorMapEncodeTiled(
            &mut map,
            dtype,
            N as u32,
            at as *mut std::ffi::c_void,
            sizes.as_ptr(),
            apart.as_ptr(),
            of_box.as_ptr(),
            steps.as_ptr(),
            sys::CUtensorMapInterleave::CU_TENSOR_MAP_INTERLEAVE_NONE,
            sys::CUtensorMapSwizzle::CU_TENSOR_MAP_SWIZZLE_128B,
            sys::CUtensorMapL2promotion::CU_TENSOR_MAP_L2_PROMOTION_L2_256B,
            sys::CUtensorMapFloatOOBfill::CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE,
        )
    };
    status.result().w()?;
    Ok(TensorMap(map))
}

type Stream = Arc<candle_core::cuda_backend::cudarc::driver::CudaStream>;

fn storage_address<'a>(storage: &'a CudaStorage, stream: &'a Stream, from: usize) -> Result<(u64, SyncOnDrop<'a>)> {
    Ok(match &storage.slice {
        CudaStorageSlice::F32(s) => address(s, stream, from),
        CudaStorageSlice::F16(s) => address(s, stream, from),
        CudaStorageSlice::BF16(s) => address(s, stream, from),
        CudaStorageSlice::U32(s) => address(s, stream, from),
        CudaStorageSlice::I64(s) => address(s, stream, from),
        _ => bail!("npair: kernels know f32, f16, bf16, u32 and i64"),
    })
}

fn storage_address_mut<'a>(storage: &'a mut CudaStorage, stream: &'a Stream) -> Result<(u64, SyncOnDrop<'a>)> {
    Ok(match &mut storage.slice {
        CudaStorageSlice::F32(s) => s.device_ptr_mut(stream),
        CudaStorageSlice::F16(s) => s.device_ptr_mut(stream),
        CudaStorageSlice::BF16(s) => s.device_ptr_mut(stream),
        CudaStorageSlice::U32(s) => s.device_ptr_mut(stream),
        CudaStorageSlice::I64(s) => s.device_ptr_mut(stream),
        _ => bail!("npair: kernels know f32, f16, bf16, u32 and i64"),
    })
}

impl Chip for Cuda {
    type Buffer = CudaStorage;

    fn tiles(&self) -> Tiles {
        cuda::TILES
    }

    fn variant(&self, dtype: DType, precision: Precision) -> Option<&'static str> {
        cuda::variant(dtype, precision)
    }

    fn room(&self, dtype: DType, values: usize) -> Result<CudaStorage> {
        let device = self.device.clone();
        // SAFETY: what a kernel reads of a buffer was written by a kernel before: buffers begin as outputs.
        Ok(unsafe {
            match dtype {
                DType::F32 => CudaStorage::wrap_cuda_slice(device.alloc::<f32>(values)?, device),
                DType::F16 => CudaStorage::wrap_cuda_slice(device.alloc::<half::f16>(values)?, device),
                DType::BF16 => CudaStorage::wrap_cuda_slice(device.alloc::<half::bf16>(values)?, device),
                DType::U32 => CudaStorage::wrap_cuda_slice(device.alloc::<u32>(values)?, device),
                DType::I64 => CudaStorage::wrap_cuda_slice(device.alloc::<i64>(values)?, device),
                other => bail!("npair: no kernels for {other:?}"),
            }
        })
    }

    fn numbers(&self, values: &[u32]) -> Result<CudaStorage> {
        Ok(CudaStorage::wrap_cuda_slice(self.device.clone_htod(values)?, self.device.clone()))
    }

    fn launch(&self, launch: Launch<'_, CudaStorage>) -> Result<()> {
        let absent = launch.absent();
        let Launch { kernel, grid, threads, shared, outs, ins, maps, params } = launch;
        let params = super::params::Params { absent, ..params };
        let function = self.function(&kernel, shared)?;
        let stream = self.device.cuda_stream();
        // What kernels read themselves, then what the copy engine reads for them.
        let reads: Vec<&In<'_, CudaStorage>> = ins.iter().chain(maps.iter().map(|map| &map.of)).collect();
        let guards: Vec<_> = reads
            .iter()
            .map(|read| match read {
                In::Tensor(t, from) => {
                    let (storage, layout) = t.storage_and_layout();
                    Some((storage, layout.start_offset() + from))
                }
                _ => None,
            })
            .collect();
        let (mut addresses, mut held) = (Vec::with_capacity(outs.len() + reads.len()), Vec::new());
        for out in outs {
            let (at, hold) = storage_address_mut(out, &stream)?;
            addresses.push(at);
            held.push(hold);
        }
        let before = addresses.len();
        for (read, guard) in reads.iter().zip(&guards) {
            let found = match (read, guard) {
                (In::Buffer(b, from), _) => Some(storage_address(b, &stream, *from)?),
                (_, Some((storage, from))) => match &**storage {
                    Storage::Cuda(storage) => Some(storage_address(storage, &stream, *from)?),
                    _ => bail!("npair: {kernel}: an operand is not on the device"),
                },
                _ => None,
            };
            addresses.push(found.as_ref().map_or(0, |f| f.0));
            held.extend(found.map(|f| f.1));
        }
        let factors = addresses.split_off(before + ins.len());
        let bf16 = kernel.ends_with("_bf16");
        let tensor_maps =
            maps.iter().zip(factors).map(|(map, at)| tensor_map(map, at, bf16)).collect::<Result<Vec<_>>>()?;
        let mut builder = stream.launch_builder(&function);
        for address in &addresses {
            builder.arg(address);
        }
        for map in &tensor_maps {
            builder.arg(map);
        }
        builder.arg(&params);
        let [x, y, z] = grid.map(|n| n as u32);
        let config = LaunchConfig { grid_dim: (x, y, z), block_dim: (threads, 1, 1), shared_mem_bytes: shared as u32 };
        // SAFETY: the arguments are those that the kernel of this name has, in its order; what they point to is held until
        // here, and given up in the order of the stream.
        unsafe { builder.launch(config) }.w()?;
        drop(held);
        Ok(())
    }

    fn groups(&self, dtype: DType, width: usize) -> Option<Groups> {
        // Narrower sides leave too little to do for a copy.
        self.modules.hopper.filter(|_| width > cuda::TILES.narrow).and_then(|count| cuda::groups(dtype, count))
    }

    fn tensor(&self, buffer: CudaStorage, shape: Shape) -> Result<Tensor> {
        Ok(Tensor::from_storage(Storage::Cuda(buffer), shape, BackpropOp::none(), false))
    }
}
