use super::{Optimizer, ParameterGroup, Update, groups, in_range, tensors};
use crate::Result;
use candle_core::backprop::GradStore;
use candle_core::{DType, Tensor, TensorId, Var};
use std::collections::HashMap;

/// Named variables and the optimizer that moves them: gradient accumulation, clipping of the whole gradient's norm, groups of
/// parameters.
///
/// On a device one value is read in a step, the gradient's norm.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor, Var}; use npair_train::{Adam, AdamSettings, Updater};
/// let x = Var::from_tensor(&Tensor::new(&[3f32], &Device::Cpu)?)?;
/// let adam = Adam::new(AdamSettings { learning_rate: 0.5, ..Default::default() })?;
/// let mut updater = Updater::new(vec![("x".to_owned(), x.clone())], adam)?;
/// updater.add(&x.sqr()?.sum_all()?.backward()?)?;
/// assert_eq!(updater.step(1.)?.grad_norm, 6.);
/// // Adam's first step is the learning rate, against the gradient.
/// assert_eq!(x.to_vec1::<f32>()?, [2.5]);
/// # Ok::<(), npair_train::Error>(())
/// ```
pub struct Updater {
    vars: Vec<(String, Var)>,
    optimizer: Box<dyn Optimizer>,
    clip_norm: f64,
    /// For every variable, its scales of learning rate and weight decay.
    scales: Vec<[f64; 2]>,
    sums: Vec<Option<Tensor>>,
    batches: usize,
}

/// What a step was like.
#[derive(Debug, Clone, Copy)]
pub struct Moved {
    /// Norm of the gradient before clipping.
    pub grad_norm: f64,
}

impl Updater {
    /// Of `vars`, all in one group, without clipping.
    ///
    /// # Errors
    /// Those of the optimizer.
    pub fn new(vars: Vec<(String, Var)>, optimizer: impl Optimizer + 'static) -> Result<Self> {
        Self::with(vars, Box::new(optimizer), &[], 0.)
    }

    /// The same with groups, and with clipping of the whole gradient's Euclidean norm at `clip_norm`; 0 for none.
    ///
    /// # Errors
    /// [`Error::Setting`](crate::Error::Setting) if a variable is not of f32, a group begins no name or a number is out of range, and
    /// those of the optimizer.
    pub fn with(
        vars: Vec<(String, Var)>,
        mut optimizer: Box<dyn Optimizer>,
        groups: &[ParameterGroup],
        clip_norm: f64,
    ) -> Result<Self> {
        in_range("optimizer.clip_norm", clip_norm, 0., f64::MAX)?;
        if let Some((name, var)) = vars.iter().find(|(_, var)| var.dtype() != DType::F32) {
            let why =
                format!("moves variables of f32, but {name} is {:?}: make the network in DType::F32", var.dtype());
            return Err(crate::Error::Setting { setting: "optimizer", why });
        }
        let scales = groups::scales(&vars, groups)?;
        optimizer.attach(&vars)?;
        let sums = vec![None; vars.len()];
        Ok(Self { vars, optimizer, clip_norm, scales, sums, batches: 0 })
    }

    /// The optimizer.
    pub fn optimizer(&self) -> &dyn Optimizer {
        self.optimizer.as_ref()
    }

    /// How many values train at which rate and decay, one line each.
    pub(crate) fn describe(&self) -> Vec<String> {
        groups::describe(&self.vars, &self.scales, self.optimizer.as_ref())
    }

    /// Variables that the batches taken do not teach, but those excused by a prefix: what is wrong with the gradient, and of
    /// whom.
    pub(crate) fn dead(&self, excused: &[String]) -> Result<Vec<String>> {
        let mut names = Vec::new();
        for ((name, _), sum) in self.vars.iter().zip(&self.sums) {
            if excused.iter().any(|p| groups::is_below(name, p)) {
                continue;
            }
            let largest = match sum {
                None => None,
                // The largest absolute value is not finite if any is not: sums hide no infinity either.
                Some(grad) => Some(grad.to_dtype(DType::F64)?.abs()?.sum_all()?.to_scalar::<f64>()?),
            };
            match largest {
                None => names.push(format!("{name} (none)")),
                Some(0.) => names.push(format!("{name} (zero)")),
                Some(sum) if !sum.is_finite() => names.push(format!("{name} (not finite)")),
                Some(_) => {}
            }
        }
        Ok(names)
    }

    /// Takes the gradients of one batch.
    ///
    /// # Errors
    /// Those of candle when gradients are added.
    pub fn add(&mut self, grads: &GradStore) -> Result<()> {
        self.add_part(grads)?;
        self.end_batch();
        Ok(())
    }

    /// The batch whose parts were taken is whole.
    pub(crate) fn end_batch(&mut self) {
        self.batches += 1;
    }

    /// What it moves.
    pub(crate) fn variables(&self) -> &[(String, Var)] {
        &self.vars
    }

    /// Takes a part of the gradients of a batch.
    pub(crate) fn add_part(&mut self, grads: &GradStore) -> Result<()> {
        self.add_found(|var| grads.get(var))
    }

    /// The same of gradients that are no graph's.
    pub(crate) fn add_tensors(&mut self, grads: &[(Var, Tensor)]) -> Result<()> {
        let grads: HashMap<TensorId, &Tensor> = grads.iter().map(|(var, grad)| (var.id(), grad)).collect();
        self.add_found(|var| grads.get(&var.id()).copied())
    }

    fn add_found<'g>(&mut self, grad: impl Fn(&Var) -> Option<&'g Tensor>) -> Result<()> {
        for ((_, var), sum) in self.vars.iter().zip(&mut self.sums) {
            let Some(grad) = grad(var) else { continue };
            let grad = grad.detach().to_dtype(DType::F32)?;
            *sum = Some(match sum.take() {
                None => grad.contiguous()?,
                Some(sum) => (sum + grad)?,
            });
        }
        Ok(())
    }

    /// Moves the variables by the mean of the gradients taken since the last step, at `factor` times the learning rate; nothing
    /// moves if that mean is not finite.
    ///
    /// # Errors
    /// Those of candle when values are fetched or set.
    pub fn step(&mut self, factor: f64) -> Result<Moved> {
        let mean = 1. / self.batches.max(1) as f64;
        let grad_norm = tensors::squares(&self.sums)?.sqrt() * mean;
        self.batches = 0;
        if !grad_norm.is_finite() {
            self.sums.fill(None);
            return Ok(Moved { grad_norm });
        }
        self.optimizer.begin_step();
        let clip = self.clip_norm;
        let gradient_scale = if clip > 0. && grad_norm > clip { mean * clip / grad_norm } else { mean };
        let (rate, decay) = (self.optimizer.learning_rate(), self.optimizer.weight_decay());
        let sums = self.sums.iter_mut().zip(&self.scales);
        for (at, ((_, var), (sum, [lr_scale, decay_scale]))) in self.vars.iter().zip(sums).enumerate() {
            let Some(grad) = sum.take() else { continue };
            // Norms and biases have one dimension; shrinking them is no regularization.
            let weight_decay = if var.rank() > 1 { decay * decay_scale } else { 0. };
            let with = Update { gradient_scale, learning_rate: rate * factor * lr_scale, weight_decay };
            self.optimizer.update(at, var, &grad, with)?;
        }
        Ok(Moved { grad_norm })
    }

    /// What the optimizer remembers, and the number of steps.
    pub(crate) fn state(&self) -> Result<(HashMap<String, Tensor>, u64)> {
        self.optimizer.state()
    }

    /// Goes on from a saved state; the error says what is missing or does not fit.
    pub(crate) fn restore(&mut self, tensors: &HashMap<String, Tensor>, steps: u64) -> std::result::Result<(), String> {
        self.optimizer.restore(tensors, steps)
    }
}

impl std::fmt::Debug for Updater {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Updater({}, {} variables)", self.optimizer.name(), self.vars.len())
    }
}
