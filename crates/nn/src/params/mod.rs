//! The parameters of a network, by name.

mod init;
mod load;
pub(crate) mod name;
mod path;

pub use init::Init;
pub use path::Path;

use crate::{Error, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_types::Streams;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An ordered store of a network's trainable variables and, apart from them, its buffers (running statistics).
///
/// First values are drawn from a stream keyed by (seed, name): they do not depend on the order in which layers are
/// built, and adding a layer leaves all others as they were. Clones are handles to the same store.
///
/// ```
/// # use npair_nn::{Init, Params}; use npair_types::Streams; use candle_core::{DType, Device};
/// let params = Params::new(Streams::new(1), DType::F32, &Device::Cpu);
/// params.root().child("head").trainable("weight", (64, 10), Init::KaimingNormal)?;
/// params.root().child("norm").buffer("running_mean", 64, 0.)?;
/// assert_eq!(params.trainable()[0].0, "head.weight");
/// assert_eq!(params.buffers()[0].0, "norm.running_mean");
/// # Ok::<(), npair_nn::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Params(Arc<Store>);

#[derive(Debug)]
struct Store {
    streams: Streams,
    dtype: DType,
    device: Device,
    entries: Mutex<BTreeMap<String, Entry>>,
}

#[derive(Debug, Clone)]
struct Entry {
    var: Var,
    trains: bool,
}

impl Params {
    /// An empty store; `streams` give the first values.
    pub fn new(streams: Streams, dtype: DType, device: &Device) -> Self {
        Self(Arc::new(Store { streams, dtype, device: device.clone(), entries: Mutex::default() }))
    }

    /// The place of the whole network: names below it have no prefix.
    pub fn root(&self) -> Path {
        Path::root(self.clone())
    }

    /// Number type of the parameters.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Where the parameters lie.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The trainable variables, in the order of their names.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.pick(true)
    }

    /// The buffers, in the order of their names.
    pub fn buffers(&self) -> Vec<(String, Var)> {
        self.pick(false)
    }

    /// Number of trainable values.
    pub fn count(&self) -> usize {
        self.trainable().iter().map(|(_, var)| var.elem_count()).sum()
    }

    /// Copies of all variables and buffers, by name: what a checkpoint keeps. Later steps do not change them.
    ///
    /// # Errors
    /// Those of candle's copy.
    pub fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        self.entries().iter().map(|(name, entry)| Ok((name.clone(), entry.var.as_detached_tensor().copy()?))).collect()
    }

    /// Takes over all values, as floats of the store's number type. Strict: the names have to be exactly those of the
    /// network and the shapes equal; otherwise nothing changes.
    ///
    /// # Errors
    /// [`Error::Mismatch`] with the first missing and unexpected names and the first differing shapes.
    pub fn load(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        load::load(&self.entries(), tensors)
    }

    fn pick(&self, trains: bool) -> Vec<(String, Var)> {
        let entries = self.entries();
        entries.iter().filter(|(_, e)| e.trains == trains).map(|(name, e)| (name.clone(), e.var.clone())).collect()
    }

    fn insert(&self, name: String, values: Vec<f64>, dims: &[usize], trains: bool) -> Result<Var> {
        let mut entries = self.entries();
        if entries.contains_key(&name) {
            return Err(Error::Duplicate { name });
        }
        let values = Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(self.0.dtype)?.to_device(&self.0.device)?;
        let var = Var::from_tensor(&values)?;
        entries.insert(name, Entry { var: var.clone(), trains });
        Ok(var)
    }

    /// A panic while the lock was held cannot leave a half-made entry: entries are inserted whole.
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
