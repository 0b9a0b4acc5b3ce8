//! Kernels on a Metal queue of candle's.

use super::kernels::metal;
use super::{Chip, In, Launch, Precision, Tiles};
use candle_core::op::BackpropOp;
use candle_core::{DType, Error, MetalDevice, MetalStorage, Result, Shape, Storage, Tensor, bail};
use candle_metal_kernels::metal::{Buffer, ComputeCommandEncoder, ComputePipeline, Library};
use objc2_metal::{MTLCompileOptions, MTLLanguageVersion, MTLSize};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// A device with our kernels.
pub(crate) struct Metal {
    device: MetalDevice,
    kernels: Arc<Kernels>,
}

/// Our library on a device, and the pipelines that were made of it so far.
struct Kernels {
    library: Library,
    pipelines: Mutex<HashMap<String, ComputePipeline>>,
}

/// By the device's number: it is compiled once.
fn compiled() -> &'static Mutex<HashMap<u64, Arc<Kernels>>> {
    static COMPILED: OnceLock<Mutex<HashMap<u64, Arc<Kernels>>>> = OnceLock::new();
    COMPILED.get_or_init(Mutex::default)
}

impl Metal {
    pub(crate) fn of(device: &MetalDevice) -> Result<Self> {
        let mut all = compiled().lock().unwrap_or_else(PoisonError::into_inner);
        let kernels = match all.entry(device.metal_device().registry_id()) {
            std::collections::hash_map::Entry::Occupied(there) => there.get().clone(),
            std::collections::hash_map::Entry::Vacant(room) => {
                let options = MTLCompileOptions::new();
                options.setLanguageVersion(MTLLanguageVersion::Version3_1);
                // Infinities and NaNs have to stay what they are. Its successor is there from macOS 15 on.
                #[allow(deprecated)]
                options.setFastMathEnabled(false);
                let source = npair_similarity_metal::SOURCE;
                let library =
                    device.metal_device().new_library_with_source(source, Some(&options)).map_err(Error::wrap)?;
                room.insert(Arc::new(Kernels { library, pipelines: Mutex::default() })).clone()
            }
        };
        Ok(Self { device: device.clone(), kernels })
    }

    fn pipeline(&self, name: &str) -> Result<ComputePipeline> {
        let mut all = self.kernels.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipeline) = all.get(name) {
            return Ok(pipeline.clone());
        }
        let function = self.kernels.library.get_function(name, None).map_err(Error::wrap)?;
        let made = self.device.metal_device().new_compute_pipeline_state_with_function(&function);
        let pipeline = made.map_err(Error::wrap)?;
        all.insert(name.to_owned(), pipeline.clone());
        Ok(pipeline)
    }
}

/// A buffer and the byte it begins at.
fn of_storage(storage: &MetalStorage, values: usize) -> (&Buffer, usize) {
    use candle_core::backend::BackendStorage;
    (storage.buffer(), values * storage.dtype().size_in_bytes())
}

impl Chip for Metal {
    type Buffer = MetalStorage;

    fn tiles(&self) -> Tiles {
        metal::TILES
    }

    fn variant(&self, dtype: DType, _: Precision) -> Option<&'static str> {
        metal::variant(dtype)
    }

    fn room(&self, dtype: DType, values: usize) -> Result<MetalStorage> {
        let buffer = self.device.new_buffer(values, dtype, "npair")?;
        Ok(MetalStorage::new(buffer, self.device.clone(), values, dtype))
    }

    fn numbers(&self, values: &[u32]) -> Result<MetalStorage> {
        let buffer = self.device.new_buffer_with_data(values)?;
        Ok(MetalStorage::new(buffer, self.device.clone(), values.len(), DType::U32))
    }

    fn launch(&self, launch: Launch<'_, MetalStorage>) -> Result<()> {
        let absent = launch.absent();
        // No kernel here takes maps.
        let Launch { kernel, grid, threads, shared, outs, ins, maps: _, params } = launch;
        let params = super::params::Params { absent, ..params };
        let pipeline = self.pipeline(&kernel)?;
        let guards: Vec<_> = ins
            .iter()
            .map(|i| match i {
                In::Tensor(t, from) => {
                    let (storage, layout) = t.storage_and_layout();
                    Some((storage, layout.start_offset() + from))
                }
                _ => None,
            })
            .collect();
        let commands = self.device.command_encoder()?;
        let encoder: &ComputeCommandEncoder = commands.as_ref();
        encoder.set_compute_pipeline_state(&pipeline);
        for (at, out) in outs.iter().enumerate() {
            encoder.set_output_buffer(at, Some(out.buffer()), 0);
        }
        for (at, (input, guard)) in ins.iter().zip(&guards).enumerate() {
            let (buffer, from) = match (input, guard) {
                (In::Buffer(b, from), _) => of_storage(b, *from),
                (_, Some((storage, from))) => match &**storage {
                    Storage::Metal(storage) => of_storage(storage, *from),
                    _ => bail!("npair: {kernel}: an operand is not on the device"),
                },
                // Bound to something that is there; the parameters say that it is not to be read.
                _ => (outs[0].buffer(), 0),
            };
            encoder.set_input_buffer(outs.len() + at, Some(buffer), from);
        }
        encoder.set_bytes(outs.len() + ins.len(), &params);
        // In whole 16 bytes, and at least that: every kernel has the argument.
        encoder.set_threadgroup_memory_length(0, shared.next_multiple_of(16).max(16));
        let size = |[width, height, depth]: [usize; 3]| MTLSize { width, height, depth };
        encoder.dispatch_thread_groups(size(grid), size([threads as usize, 1, 1]));
        Ok(())
    }

    fn tensor(&self, buffer: MetalStorage, shape: Shape) -> Result<Tensor> {
        Ok(Tensor::from_storage(Storage::Metal(buffer), shape, BackpropOp::none(), false))
    }
}
