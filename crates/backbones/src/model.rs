use crate::pretrained::weights_file;
use crate::{EmbeddingNet, Error, Result, Stages};
use candle_core::{DType, Device, ModuleT, Tensor, Var};
use npair_nn::Mode;
use std::collections::{BTreeMap, HashMap};
use std::path::Path;

/// A network from inputs of any kind to embeddings, as the engine trains it and as everything that uses embeddings calls it.
///
/// Implemented by [`EmbeddingNet`] over any [`Backbone`](crate::Backbone), by [`VectorNet`](crate::VectorNet), and by
/// [`CandleModel`] for a module of candle. Only [`forward`](Self::forward) and [`variables`](Self::variables) have no default.
///
/// # Examples
/// ```
/// # use candle_core::{DType, Device, Tensor, Var};
/// # use npair_backbones::{EmbeddingModel, Result};
/// # use npair_nn::Mode;
/// struct Projection(Var);
///
/// impl EmbeddingModel for Projection {
///     fn forward(&self, inputs: &Tensor, _: &Mode) -> Result<Tensor> {
///         Ok(inputs.matmul(&self.0)?)
///     }
///     fn variables(&self) -> Vec<(String, Var)> {
///         vec![("weight".to_owned(), self.0.clone())]
///     }
/// }
///
/// let model = Projection(Var::ones((5, 2), DType::F32, &Device::Cpu)?);
/// assert_eq!(model.forward_no_grad(&Tensor::ones((3, 5), DType::F32, &Device::Cpu)?, &Mode::Eval)?.dims(), [3, 2]);
/// # Ok::<(), npair_backbones::Error>(())
/// ```
pub trait EmbeddingModel: Send + Sync {
    /// Embeddings of inputs, which candle can differentiate by [`variables`](Self::variables) in [`Mode::Train`].
    ///
    /// # Shapes
    /// (B, ...) as the model takes it, to (B, D).
    ///
    /// # Errors
    /// If the inputs are not those that the model takes.
    fn forward(&self, inputs: &Tensor, mode: &Mode) -> Result<Tensor>;

    /// The same values in this mode, of which nothing is kept: neither a graph for gradients nor, in training, a change of
    /// running statistics. A model with running statistics has to say how.
    ///
    /// # Errors
    /// As [`forward`](Self::forward).
    fn forward_no_grad(&self, inputs: &Tensor, mode: &Mode) -> Result<Tensor> {
        Ok(self.forward(inputs, mode)?.detach())
    }

    /// What trains, by name, each name once.
    fn variables(&self) -> Vec<(String, Var)>;

    /// Copies of all that a checkpoint keeps, by name: the variables, and what a model has beside them (running statistics).
    ///
    /// # Errors
    /// Those of candle's copy.
    fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        self.variables().into_iter().map(|(name, var)| Ok((name, var.as_detached_tensor().copy()?))).collect()
    }

    /// Takes over what [`tensors`](Self::tensors) gave. Strict: names and shapes have to be those of the model, otherwise
    /// nothing changes.
    ///
    /// # Errors
    /// [`Error::Layer`] that lists what does not fit.
    fn set_tensors(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        set_variables(&self.variables(), tensors)
    }

    /// Writes the model to a folder: `model.safetensors`, and beside it what its type needs to be built again.
    ///
    /// # Errors
    /// [`Error::File`] if a file cannot be written.
    fn save(&self, folder: &Path) -> Result<()> {
        weights_file::write(folder, &self.tensors()?)
    }

    /// Takes the weights over that [`save`](Self::save) wrote.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Content`] for a file that is missing, damaged or of another model.
    fn load(&self, folder: &Path) -> Result<()> {
        weights_file::load_into(folder, |tensors| self.set_tensors(tensors))
    }

    /// What messages call it.
    fn name(&self) -> &str {
        "model"
    }

    /// Its layers in their order, by the names of their variables, the head last: every variable is in one of them. None for a model
    /// that says nothing of its depth.
    fn stages(&self) -> Stages {
        Stages::new()
    }

    /// Where its variables lie; inputs are moved there.
    fn device(&self) -> Device {
        self.variables().first().map_or(Device::Cpu, |(_, var)| var.device().clone())
    }

    /// Number type of its variables.
    fn dtype(&self) -> DType {
        self.variables().first().map_or(DType::F32, |(_, var)| var.dtype())
    }
}

impl std::fmt::Debug for dyn EmbeddingModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EmbeddingModel({})", self.name())
    }
}

/// Takes values over into variables, all or none.
fn set_variables(variables: &[(String, Var)], tensors: &HashMap<String, Tensor>) -> Result<()> {
    let wrong = |what: String| Err(npair_nn::Error::Mismatch(what).into());
    let mut ready = Vec::with_capacity(variables.len());
    for (name, var) in variables {
        let Some(tensor) = tensors.get(name) else { return wrong(format!("{name} is missing")) };
        if tensor.dims() != var.dims() {
            return wrong(format!("{name} has {:?} instead of {:?}", tensor.dims(), var.dims()));
        }
        // A tensor that shares the variable's memory cannot be set.
        ready.push((var, tensor.detach().to_dtype(var.dtype())?.to_device(var.device())?.copy()?));
    }
    let more = tensors.keys().find(|name| variables.iter().all(|(own, _)| own != *name));
    if let Some(name) = more {
        return wrong(format!("{name} is none of the model's"));
    }
    for (var, tensor) in ready {
        var.set(&tensor)?;
    }
    Ok(())
}

/// Any module of candle with the variables that train, as they lie in a `VarMap`.
///
/// The module's own switch for training (`ModuleT`) follows the [`Mode`]; dropout inside it draws from candle's own generator,
/// which cannot be seeded on the CPU: leave it out where runs have to be repeatable.
///
/// # Examples
/// ```
/// # use candle_core::{DType, Device, Tensor};
/// # use candle_nn::{VarBuilder, VarMap, linear};
/// # use npair_backbones::{CandleModel, EmbeddingModel};
/// # use npair_nn::Mode;
/// let weights = VarMap::new();
/// let module = linear(8, 4, VarBuilder::from_varmap(&weights, DType::F32, &Device::Cpu))?;
/// let variables = weights.data().lock().unwrap().clone();
/// let model = CandleModel::new("projection", module, variables)?;
/// assert_eq!(model.variables().len(), 2);
/// let rows = Tensor::ones((3, 8), DType::F32, &Device::Cpu)?;
/// assert_eq!(model.forward(&rows, &Mode::Eval)?.dims(), [3, 4]);
/// # Ok::<(), npair_backbones::Error>(())
/// ```
pub struct CandleModel<M> {
    name: String,
    module: M,
    variables: Vec<(String, Var)>,
}

impl<M: ModuleT + Send + Sync> CandleModel<M> {
    /// A module and its variables; their order does not matter.
    ///
    /// # Errors
    /// [`Error::Setting`] if there is no variable, or two have one name.
    pub fn new(name: impl Into<String>, module: M, variables: impl IntoIterator<Item = (String, Var)>) -> Result<Self> {
        let mut variables: Vec<(String, Var)> = variables.into_iter().collect();
        // A VarMap hands them out in a random order.
        variables.sort_by(|a, b| a.0.cmp(&b.0));
        let name = name.into();
        let wrong = |got: String, want: &str| Error::Setting { name: "variables", got, want: want.to_owned() };
        if variables.is_empty() {
            return Err(wrong("none".to_owned(), "something has to train: give the VarMap's variables"));
        }
        if let Some(twice) = variables.windows(2).find(|two| two[0].0 == two[1].0) {
            return Err(wrong(format!("{} twice", twice[0].0), "each name may stand once"));
        }
        Ok(Self { name, module, variables })
    }

    /// The module.
    pub fn module(&self) -> &M {
        &self.module
    }
}

impl<M: ModuleT + Send + Sync> EmbeddingModel for CandleModel<M> {
    fn forward(&self, inputs: &Tensor, mode: &Mode) -> Result<Tensor> {
        Ok(self.module.forward_t(inputs, mode.is_train())?)
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.variables.clone()
    }

    fn name(&self) -> &str {
        &self.name
    }
}

impl EmbeddingModel for EmbeddingNet {
    fn forward(&self, inputs: &Tensor, mode: &Mode) -> Result<Tensor> {
        Self::forward(self, inputs, mode)
    }

    fn forward_no_grad(&self, inputs: &Tensor, mode: &Mode) -> Result<Tensor> {
        Self::forward_no_grad(self, inputs, mode)
    }

    fn variables(&self) -> Vec<(String, Var)> {
        self.varmap().trainable()
    }

    fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
        Ok(self.varmap().tensors()?)
    }

    fn set_tensors(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
        Ok(self.varmap().load(tensors)?)
    }

    fn save(&self, folder: &Path) -> Result<()> {
        Self::save(self, folder)
    }

    fn name(&self) -> &str {
        Self::name(self)
    }

    fn stages(&self) -> Stages {
        Self::stages(self)
    }

    fn device(&self) -> Device {
        self.varmap().device().clone()
    }

    fn dtype(&self) -> DType {
        self.varmap().dtype()
    }
}

/// A handle to a model is a model.
macro_rules! through_a_handle {
    ($($handle:ty),*) => {$(
        impl<M: EmbeddingModel + ?Sized> EmbeddingModel for $handle {
            fn forward(&self, inputs: &Tensor, mode: &Mode) -> Result<Tensor> {
                (**self).forward(inputs, mode)
            }
            fn forward_no_grad(&self, inputs: &Tensor, mode: &Mode) -> Result<Tensor> {
                (**self).forward_no_grad(inputs, mode)
            }
            fn variables(&self) -> Vec<(String, Var)> {
                (**self).variables()
            }
            fn tensors(&self) -> Result<BTreeMap<String, Tensor>> {
                (**self).tensors()
            }
            fn set_tensors(&self, tensors: &HashMap<String, Tensor>) -> Result<()> {
                (**self).set_tensors(tensors)
            }
            fn save(&self, folder: &Path) -> Result<()> {
                (**self).save(folder)
            }
            fn load(&self, folder: &Path) -> Result<()> {
                (**self).load(folder)
            }
            fn name(&self) -> &str {
                (**self).name()
            }
            fn stages(&self) -> Stages {
                (**self).stages()
            }
            fn device(&self) -> Device {
                (**self).device()
            }
            fn dtype(&self) -> DType {
                (**self).dtype()
            }
        }
    )*};
}

through_a_handle!(std::sync::Arc<M>, Box<M>);
