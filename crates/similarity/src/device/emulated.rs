//! The kernels as fibers of the CPU.

#![allow(clippy::unwrap_used)]

use super::params::Params;
use super::{BOX_WIDTH, Chip, Groups, In, Launch, Map, Precision, Tiles};
use candle_core::{CpuStorage, DType, Device, Result, Shape, Storage, Tensor, bail};
pub(crate) use npair_testkit::emulation::SANITIZED;
use npair_testkit::emulation::{Source, compiled};
use npair_testkit::require::{Need, not_run};
use std::alloc::{Layout, alloc, dealloc};
use std::cell::RefCell;
use std::ffi::c_void;
use std::path::Path;
use std::rc::Rc;
use std::sync::OnceLock;

/// Which kernels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Which {
    Cuda,
    /// The same with the kernels for compute capability 9.0.
    Hopper,
    Metal,
}

impl Which {
    pub(crate) const ALL: [Self; 3] = [Self::Cuda, Self::Hopper, Self::Metal];

    fn source(self) -> &'static str {
        match self {
            Self::Cuda | Self::Hopper => "similarity-cuda/emulation/kernels.cpp",
            Self::Metal => "similarity-metal/emulation/kernels.cpp",
        }
    }

    fn library(self) -> std::result::Result<&'static libloading::Library, &'static str> {
        static CUDA: OnceLock<std::result::Result<libloading::Library, String>> = OnceLock::new();
        static METAL: OnceLock<std::result::Result<libloading::Library, String>> = OnceLock::new();
        let cell = match self {
            Self::Cuda | Self::Hopper => &CUDA,
            Self::Metal => &METAL,
        };
        cell.get_or_init(|| open(self)).as_ref().map_err(String::as_str)
    }
}

fn open(which: Which) -> std::result::Result<libloading::Library, String> {
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let text = match which {
        Which::Metal => {
            let file = crates.join("similarity-metal/kernels/similarity.metal");
            Some(without_attributes(&std::fs::read_to_string(file).map_err(|e| e.to_string())?))
        }
        Which::Cuda | Which::Hopper => None,
    };
    let file = compiled(&Source { name: &format!("{which:?}"), file: &crates.join(which.source()), text })?;
    // SAFETY: a library without initialisers of its own.
    unsafe { libloading::Library::new(&file) }.map_err(|e| format!("{}: {e}", file.display()))
}

/// Without what stands in double brackets.
fn without_attributes(text: &str) -> String {
    let mut parts = text.split("[[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain += part.split_once("]]").map_or(part, |(_, rest)| rest);
    }
    plain
}

/// A chip of fibers.
#[derive(Debug)]
pub(crate) struct Emulated {
    which: Which,
    /// The last thread runs first.
    reverse: bool,
}

thread_local! {
    static CURRENT: RefCell<Option<Rc<Emulated>>> = const { RefCell::new(None) };
}

/// The chip that this thread works on.
pub(crate) fn current() -> Option<Rc<Emulated>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs `f` with every matrix on a chip of fibers; `None`, with a line that says why, where there is no C++ compiler.
pub(crate) fn emulating<R>(which: Which, reverse: bool, f: impl FnOnce() -> R) -> Option<R> {
    if let Err(why) = which.library() {
        not_run(Need::Tool, &format!("the {which:?} kernels on the CPU: {why}"));
        return None;
    }
    let before = CURRENT.replace(Some(Rc::new(Emulated { which, reverse })));
    let out = f();
    CURRENT.set(before);
    Some(out)
}

/// Exactly as many bytes as are asked for, so that a sanitizer sees what lies beyond.
pub(crate) struct Memory {
    at: *mut u8,
    layout: Layout,
    dtype: DType,
    values: usize,
}

impl Memory {
    fn new(dtype: DType, values: usize) -> Self {
        let layout = Layout::from_size_align((values * dtype.size_in_bytes()).max(1), 16).unwrap();
        // SAFETY: the layout has a size above 0.
        let at = unsafe { alloc(layout) };
        assert!(!at.is_null());
        // Nothing that looks like a number.
        // SAFETY: as many bytes were just allocated.
        unsafe { at.write_bytes(0xff, layout.size()) };
        Self { at, layout, dtype, values }
    }

    fn to_vec<T: Copy>(&self) -> Vec<T> {
        assert_eq!(size_of::<T>(), self.dtype.size_in_bytes());
        // SAFETY: `values` plain numbers of this size lie there, aligned to 16, and all bits were written.
        unsafe { std::slice::from_raw_parts(self.at.cast::<T>(), self.values) }.to_vec()
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        // SAFETY: allocated with this layout.
        unsafe { dealloc(self.at, self.layout) };
    }
}

/// `TensorMap` of the kernels' emulation.
#[repr(C)]
struct TensorMap {
    address: *mut c_void,
    width: u64,
    rows: u64,
    stride: u64,
    box_width: u32,
    box_rows: u32,
    woven: u64,
    rest: [u64; 10],
}

/// Multiprocessors of the emulated chip: few, so that a block has several tiles.
const BLOCKS: usize = 3;

type Run = unsafe extern "C" fn(*mut c_void, *const u32, u32, u32, *mut *mut c_void, u32, *const Params, i32) -> i32;

impl Chip for Emulated {
    type Buffer = Memory;

    fn tiles(&self) -> Tiles {
        match self.which {
            Which::Cuda | Which::Hopper => super::kernels::cuda::TILES,
            Which::Metal => super::kernels::metal::TILES,
        }
    }

    fn variant(&self, dtype: DType, precision: Precision) -> Option<&'static str> {
        match self.which {
            Which::Cuda | Which::Hopper => super::kernels::cuda::variant(dtype, precision),
            Which::Metal => super::kernels::metal::variant(dtype),
        }
    }

    fn room(&self, dtype: DType, values: usize) -> Result<Memory> {
        Ok(Memory::new(dtype, values))
    }

    fn numbers(&self, values: &[u32]) -> Result<Memory> {
        let memory = Memory::new(DType::U32, values.len());
        // SAFETY: as many numbers have room there.
        unsafe { memory.at.cast::<u32>().copy_from_nonoverlapping(values.as_ptr(), values.len()) };
        Ok(memory)
    }

    fn launch(&self, launch: Launch<'_, Memory>) -> Result<()> {
        let library = self.which.library().unwrap();
        let absent = launch.absent();
        let Launch { kernel, grid, threads, shared, outs, ins, maps, params } = launch;
        let params = Params { absent, ..params };
        let mut buffers: Vec<*mut c_void> = outs.iter().map(|m| m.at.cast()).collect();
        let nothing = Memory::new(DType::U8, 1);
        let reads: Vec<&In<'_, Memory>> = ins.iter().chain(maps.iter().map(|map| &map.of)).collect();
        let guards: Vec<_> = reads
            .iter()
            .map(|i| match i {
                In::Tensor(t, _) => Some(t.storage_and_layout()),
                _ => None,
            })
            .collect();
        for (read, guard) in reads.iter().zip(&guards) {
            buffers.push(match (read, guard) {
                (In::Buffer(m, from), _) => m.at.wrapping_add(from * m.dtype.size_in_bytes()).cast(),
                (In::Tensor(_, from), Some((storage, layout))) => {
                    assert!(layout.is_contiguous());
                    let from = from + layout.start_offset();
                    match &**storage {
                        Storage::Cpu(CpuStorage::F32(v)) => v.as_ptr().wrapping_add(from).cast_mut().cast(),
                        Storage::Cpu(CpuStorage::F16(v)) => v.as_ptr().wrapping_add(from).cast_mut().cast(),
                        Storage::Cpu(CpuStorage::BF16(v)) => v.as_ptr().wrapping_add(from).cast_mut().cast(),
                        other => bail!("no kernels for {other:?}"),
                    }
                }
                // What is bound on a Metal queue is never null.
                _ if self.which == Which::Metal => nothing.at.cast(),
                _ => std::ptr::null_mut(),
            });
        }
        let factors = buffers.split_off(buffers.len() - maps.len());
        let mut tensor_maps: Vec<TensorMap> =
            maps.iter().zip(factors).map(|(map, address)| tensor_map(map, address)).collect();
        buffers.extend(tensor_maps.iter_mut().map(|map| (map as *mut TensorMap).cast::<c_void>()));
        let grid = grid.map(|n| n as u32);
        assert!(grid.iter().all(|&n| n > 0) && grid[1] <= 65_535 && grid[2] <= 65_535, "{kernel}: {grid:?}");
        let most = self.most_shared(!maps.is_empty());
        assert!(shared <= most, "{kernel} asks for {shared} bytes of shared memory");
        // SAFETY: the library has the symbol or says that it has not; the kernel takes as many buffers as are given, which
        // lie where they are until it returns, and writes to the first ones alone, which are borrowed mutably.
        let status = unsafe {
            let entry = library.get::<*mut c_void>(kernel.as_bytes()).unwrap_or_else(|e| panic!("{kernel}: {e}"));
            let entry = *std::ops::Deref::deref(&entry);
            let run = library.get::<Run>(b"npair_launch").unwrap();
            let count = buffers.len() as u32;
            run(
                entry,
                grid.as_ptr(),
                threads,
                shared as u32,
                buffers.as_mut_ptr(),
                count,
                &params,
                i32::from(self.reverse),
            )
        };
        assert_eq!(status, 0, "{kernel}: {} buffers", buffers.len());
        Ok(())
    }

    fn groups(&self, dtype: DType, _: usize) -> Option<Groups> {
        (self.which == Which::Hopper).then(|| super::kernels::cuda::groups(dtype, BLOCKS)).flatten()
    }

    fn tensor(&self, buffer: Memory, shape: Shape) -> Result<Tensor> {
        // Room is at least one value.
        let count = shape.elem_count();
        let cpu = &Device::Cpu;
        match buffer.dtype {
            DType::F32 => Tensor::from_vec(buffer.to_vec::<f32>()[..count].to_vec(), shape, cpu),
            DType::F16 => Tensor::from_vec(buffer.to_vec::<half::f16>()[..count].to_vec(), shape, cpu),
            DType::BF16 => Tensor::from_vec(buffer.to_vec::<half::bf16>()[..count].to_vec(), shape, cpu),
            DType::U32 => Tensor::from_vec(buffer.to_vec::<u32>()[..count].to_vec(), shape, cpu),
            other => bail!("no tensors of {other:?}"),
        }
    }
}

impl Emulated {
    /// The shared memory that a block can have: more where it takes factors through the copy engine.
    fn most_shared(&self, engine: bool) -> usize {
        match self.which {
            Which::Metal => 32 << 10,
            // What a block can have on compute capability 9.0.
            Which::Cuda | Which::Hopper if engine => 227 << 10,
            Which::Cuda | Which::Hopper => self.tiles().shared,
        }
    }
}

/// A factor as the emulated copy engine takes it.
fn tensor_map(map: &Map<'_, Memory>, address: *mut c_void) -> TensorMap {
    TensorMap {
        address,
        width: map.stride as u64,
        rows: map.rows as u64,
        stride: map.stride as u64,
        box_width: BOX_WIDTH as u32,
        box_rows: map.box_rows as u32,
        woven: u64::from(map.woven),
        rest: [0; 10],
    }
}
