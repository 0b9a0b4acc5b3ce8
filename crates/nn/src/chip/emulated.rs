//! The kernels as fibers of the CPU.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{Buffer, In, Launch, Params};
use candle_core::{CpuStorage, DType, Device, Result, Shape, Storage, Tensor, bail};
use npair_testkit::emulation::{Source, compiled};
use npair_testkit::require::{Need, not_run};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::ffi::c_void;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock};

/// A chip of fibers.
#[derive(Debug)]
pub(crate) struct Emulated {
    /// The last thread runs first.
    reverse: bool,
}

fn library() -> std::result::Result<&'static libloading::Library, &'static str> {
    static LIBRARY: OnceLock<std::result::Result<libloading::Library, String>> = OnceLock::new();
    let open = || {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("emulation/kernels.cpp");
        let file = compiled(&Source { name: "layers", file: &file, text: None })?;
        // SAFETY: a library without initialisers of its own.
        unsafe { libloading::Library::new(&file) }.map_err(|e| format!("{}: {e}", file.display()))
    };
    LIBRARY.get_or_init(open).as_ref().map_err(String::as_str)
}

/// Kernels that tests of this program have started.
pub(crate) fn started() -> &'static Mutex<BTreeSet<String>> {
    static STARTED: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    &STARTED
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<Emulated>>> = const { RefCell::new(None) };
}

/// The chip that this thread works on.
pub(crate) fn current() -> Option<Arc<Emulated>> {
    CURRENT.with_borrow(Clone::clone)
}

/// Runs `f` with kernels as fibers; `None`, with a line that says why, where there is no C++ compiler.
pub(crate) fn emulating<R>(reverse: bool, f: impl FnOnce() -> R) -> Option<R> {
    if let Err(why) = library() {
        not_run(Need::Tool, &format!("the layers' kernels on the CPU: {why}"));
        return None;
    }
    let before = CURRENT.replace(Some(Arc::new(Emulated { reverse })));
    let out = f();
    CURRENT.set(before);
    Some(out)
}

/// Room for values, in words that are aligned as a device's memory is.
pub(crate) struct Memory {
    words: Vec<[f64; 2]>,
    dtype: DType,
    values: usize,
}

impl Memory {
    pub(super) fn new(dtype: DType, values: usize) -> Self {
        // Nothing that looks like a number.
        let word = f64::from_bits(u64::MAX);
        Self { words: vec![[word; 2]; (values * dtype.size_in_bytes()).div_ceil(16).max(1)], dtype, values }
    }

    fn copied<T: Copy>(&self) -> Vec<T> {
        assert_eq!(size_of::<T>(), self.dtype.size_in_bytes());
        // SAFETY: as many plain numbers of this size lie there, aligned to 16, and all bits were written.
        unsafe { std::slice::from_raw_parts(self.words.as_ptr().cast::<T>(), self.values) }.to_vec()
    }

    pub(super) fn tensor(&self, shape: Shape) -> Result<Tensor> {
        match self.dtype {
            DType::F32 => Tensor::from_vec(self.copied::<f32>(), shape, &Device::Cpu),
            DType::BF16 => Tensor::from_vec(self.copied::<half::bf16>(), shape, &Device::Cpu),
            DType::U8 => Tensor::from_vec(self.copied::<u8>(), shape, &Device::Cpu),
            other => bail!("no tensors of {other:?}"),
        }
    }
}

type Run = unsafe extern "C" fn(*mut c_void, *const u32, u32, u32, *mut *mut c_void, u32, *const Params, i32) -> i32;

impl Emulated {
    pub(super) fn launch(&self, launch: Launch<'_, '_>) -> Result<()> {
        let library = library().unwrap();
        let Launch { kernel, blocks, threads, shared, places, outs, ins, params } = launch;
        assert!(places.is_empty(), "{kernel}: a tensor of the CPU is not changed in its place");
        let null = std::ptr::null_mut();
        let mut buffers: Vec<*mut c_void> = outs
            .iter_mut()
            .map(|out| match out {
                Some(Buffer::Emulated(memory)) => memory.words.as_mut_ptr().cast(),
                #[cfg(feature = "cuda")]
                Some(Buffer::Cuda(_)) => unreachable!("a device's buffer"),
                None => null,
            })
            .collect();
        let guards: Vec<_> = ins
            .iter()
            .map(|read| match read {
                In::Tensor(tensor) => Some(tensor.storage_and_layout()),
                _ => None,
            })
            .collect();
        for (read, guard) in ins.iter().zip(&guards) {
            buffers.push(match (read, guard) {
                (In::Buffer(Buffer::Emulated(memory)), _) => memory.words.as_ptr().cast_mut().cast(),
                (_, Some((storage, layout))) => {
                    assert!(layout.is_contiguous(), "{kernel}: {layout:?}");
                    let from = layout.start_offset();
                    match &**storage {
                        Storage::Cpu(CpuStorage::F32(v)) => v.as_ptr().wrapping_add(from).cast_mut().cast(),
                        Storage::Cpu(CpuStorage::BF16(v)) => v.as_ptr().wrapping_add(from).cast_mut().cast(),
                        Storage::Cpu(CpuStorage::U8(v)) => v.as_ptr().wrapping_add(from).cast_mut().cast(),
                        other => bail!("no kernels for {other:?}"),
                    }
                }
                _ => null,
            });
        }
        assert!(blocks[1] <= 65_535 && blocks[0] > 0 && blocks[1] > 0, "{kernel}: {blocks:?}");
        assert!(shared <= 48 << 10, "{kernel} asks for {shared} bytes of shared memory");
        let grid = [blocks[0] as u32, blocks[1] as u32, 1];
        // SAFETY: the library has the symbol or says that it has not; the kernel takes as many buffers as are given, which
        // lie where they are until it returns, and writes to the first ones alone, which are borrowed mutably.
        let status = unsafe {
            let entry =
                library.get::<*mut c_void>(kernel.to_string().as_bytes()).unwrap_or_else(|e| panic!("{kernel}: {e}"));
            let entry = *std::ops::Deref::deref(&entry);
            let run = library.get::<Run>(b"npair_launch").unwrap();
            let count = buffers.len() as u32;
            let (threads, shared) = (threads as u32, shared as u32);
            run(entry, grid.as_ptr(), threads, shared, buffers.as_mut_ptr(), count, &params, i32::from(self.reverse))
        };
        assert_eq!(status, 0, "{kernel}: {} buffers", buffers.len());
        started().lock().unwrap().insert(kernel.to_string());
        Ok(())
    }
}
