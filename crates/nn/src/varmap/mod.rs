//! The parameters of a network, by name.

mod init;
mod load;
pub(crate) mod name;
mod parameter;
mod var_builder;

pub use init::Init;
pub use parameter::Parameter;
pub use var_builder::VarBuilder;

use crate::{Error, Result};
use candle_core::{DType, Device, Tensor, Var};
use npair_types::Streams;
use std::collections::{BTreeMap, HashMap, btree_map};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// An ordered store of a network's trainable variables and, apart from them, its buffers (running statistics).
///
/// First values are drawn from a stream keyed by (seed, name): they do not depend on the order in which layers are
/// built, and adding a layer leaves all others as they were. Clones are handles to the same store.
///
/// ```
/// # use npair_nn::{Init, VarMap}; use npair_types::Streams; use candle_core::{DType, Device};
/// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
/// varmap.root().pp("head").trainable("weight", (64, 10), Init::KaimingNormal)?;
/// varmap.root().pp("norm").buffer("running_mean", 64, 0.)?;
/// assert_eq!(varmap.trainable()[0].0, "head.weight");
/// assert_eq!(varmap.buffers()[0].0, "norm.running_mean");
/// # Ok::<(), npair_nn::Error>(())
/// ```
///
/// It holds at most [`MAX_VALUES`]: a width with a digit too many is said, not allocated.
#[derive(Debug, Clone)]
pub struct VarMap(Arc<Store>);

/// Most values of a network: 8 GiB in f32.
pub const MAX_VALUES: u64 = 1 << 31;

#[derive(Debug)]
struct Store {
    streams: Streams,
    dtype: DType,
    device: Device,
    entries: Mutex<BTreeMap<String, Entry>>,
    /// Of all batch norms, which ask it in every pass.
    frozen_norms: Arc<AtomicBool>,
}

#[derive(Debug, Clone)]
struct Entry {
    var: Var,
    /// None for a buffer.
    parameter: Option<Parameter>,
}

impl Entry {
    fn trains(&self) -> bool {
        self.parameter.as_ref().is_some_and(Parameter::trains)
    }
}

impl VarMap {
    /// An empty store; `streams` give the first values.
    pub fn new(streams: Streams, dtype: DType, device: &Device) -> Self {
        Self(Arc::new(Store {
            streams,
            dtype,
            device: device.clone(),
            entries: Mutex::default(),
            frozen_norms: Arc::default(),
        }))
    }

    /// The builder of the whole network: without a prefix.
    pub fn root(&self) -> VarBuilder {
        VarBuilder::root(self.clone())
    }

    /// Number type of the parameters.
    pub fn dtype(&self) -> DType {
        self.0.dtype
    }

    /// Where the parameters lie.
    pub fn device(&self) -> &Device {
        &self.0.device
    }

    /// The variables that train, in the order of their names; frozen ones are not among them.
    pub fn trainable(&self) -> Vec<(String, Var)> {
        self.pick(Entry::trains)
    }

    /// The variables that are frozen, in the order of their names.
    pub fn frozen(&self) -> Vec<(String, Var)> {
        self.pick(|e| e.parameter.is_some() && !e.trains())
    }

    /// The buffers, in the order of their names.
    pub fn buffers(&self) -> Vec<(String, Var)> {
        self.pick(|e| e.parameter.is_none())
    }

    /// Freezes (or, with `trains`, sets free) all variables whose name is `prefix` or begins with it and a dot, and
    /// says how many they are. No gradient is computed for a frozen variable.
    ///
    /// ```
    /// # use npair_nn::{Init, VarMap}; use npair_types::Streams; use candle_core::{DType, Device};
    /// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
    /// varmap.root().pp("stem").trainable("weight", 3, Init::Ones)?;
    /// varmap.root().pp("stem2").trainable("weight", 3, Init::Ones)?;
    /// assert_eq!(varmap.set_trains("stem", false), 1);
    /// assert_eq!(varmap.trainable()[0].0, "stem2.weight");
    /// # Ok::<(), npair_nn::Error>(())
    /// ```
    pub fn set_trains(&self, prefix: &str, trains: bool) -> usize {
        let below = |name: &str| name.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
        let entries = self.entries();
        let met = entries.iter().filter(|(name, _)| below(name)).filter_map(|(_, e)| e.parameter.as_ref());
        met.map(|p| p.set_trains(trains)).count()
    }

    /// Freezes the statistics of all batch norms: from now on they use their running statistics, and leave them alone, in
    /// training too, as in evaluation. With small batches, whose statistics are noise, a pretrained network is best trained
    /// so. Scales and shifts go on training unless [`Self::set_norms_train`] says otherwise.
    pub fn freeze_norms(&self, frozen: bool) {
        self.0.frozen_norms.store(frozen, Ordering::Relaxed);
    }

    /// Freezes (or, with `trains`, sets free) scales and shifts of all batch norms, and says how many variables these are.
    ///
    /// ```
    /// # use npair_nn::{BatchNorm2d, BatchNormConfig, VarMap}; use npair_types::Streams;
    /// # use candle_core::{DType, Device};
    /// let varmap = VarMap::new(Streams::new(1), DType::F32, &Device::Cpu);
    /// BatchNorm2d::new(&varmap.root().pp("bn1"), 3, BatchNormConfig::default())?;
    /// assert_eq!((varmap.set_norms_train(false), varmap.trainable().len()), (2, 0));
    /// # Ok::<(), npair_nn::Error>(())
    /// ```
    pub fn set_norms_train(&self, trains: bool) -> usize {
        let buffers = self.buffers();
        let norms = buffers.iter().filter_map(|(name, _)| name.strip_suffix(".running_mean"));
        norms.map(|norm| self.set_trains(norm, trains)).sum()
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

    fn pick(&self, wanted: impl Fn(&Entry) -> bool) -> Vec<(String, Var)> {
        let entries = self.entries();
        entries.iter().filter(|(_, e)| wanted(e)).map(|(name, e)| (name.clone(), e.var.clone())).collect()
    }

    /// An error if a network with these values more would be larger than any that is meant.
    fn expect_room(&self, name: &str, dims: &[usize]) -> Result<()> {
        let there: u64 = self.entries().values().map(|entry| entry.var.elem_count() as u64).sum();
        let all =
            dims.iter().try_fold(1u64, |n, &dim| n.checked_mul(dim as u64)).and_then(|new| new.checked_add(there));
        if all.is_some_and(|all| all <= MAX_VALUES) {
            return Ok(());
        }
        let gib = all.map_or("more than any memory".to_owned(), |all| {
            format!("{:.0} GiB", all as f64 * 4. / (1u64 << 30) as f64)
        });
        let what = format!("{dims:?} would make the network {gib} large, where 8 GiB is the most: lower its widths");
        Err(Error::Setting { layer: name.to_owned(), what })
    }

    fn variable(&self, values: Vec<f64>, dims: &[usize]) -> Result<Var> {
        let values = Tensor::from_vec(values, dims, &Device::Cpu)?.to_dtype(self.0.dtype)?.to_device(&self.0.device)?;
        Ok(Var::from_tensor(&values)?)
    }

    fn insert(&self, name: String, var: Var, parameter: Option<Parameter>) -> Result<()> {
        match self.entries().entry(name) {
            btree_map::Entry::Occupied(taken) => Err(Error::Duplicate { name: taken.key().clone() }),
            btree_map::Entry::Vacant(free) => {
                free.insert(Entry { var, parameter });
                Ok(())
            }
        }
    }

    /// A panic while the lock was held cannot leave a half-made entry: entries are inserted whole.
    fn entries(&self) -> MutexGuard<'_, BTreeMap<String, Entry>> {
        self.0.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
