//! Optimizers whose whole state can be saved.

mod adam;
mod adan;
mod groups;
mod layers;
mod lion;
mod memory;
mod ruled;
mod sgd;
mod slices;
mod tensors;
mod updater;

#[cfg(test)]
mod tests;

pub use adam::{Adam, AdamSettings};
pub use adan::{Adan, AdanSettings};
pub use groups::ParameterGroup;
pub(crate) use groups::{is_below, unknown};
pub(crate) use layers::layered;
pub use lion::{Lion, LionSettings};
pub use sgd::{Decay, Sgd, SgdSettings};
pub use updater::{Moved, Updater};

use crate::Result;
use candle_core::{Tensor, Var};
use std::collections::HashMap;

/// How gradients move variables.
///
/// The engine adds up gradients, clips them and knows the schedule and the groups of parameters; an optimizer is asked for one
/// variable at a time. Everything that it remembers goes through [`state`](Self::state) and [`restore`](Self::restore), so that a
/// resumed run goes on to the same bits.
///
/// # Examples
/// ```
/// # use candle_core::{Device, Tensor, Var};
/// # use npair_train::{Optimizer, Result, Update, Updater};
/// # use std::collections::HashMap;
/// /// The sign of the gradient, as a step of fixed length.
/// struct SignDescent;
///
/// impl Optimizer for SignDescent {
///     fn name(&self) -> &str {
///         "sign descent"
///     }
///     fn learning_rate(&self) -> f64 {
///         0.25
///     }
///     fn update(&mut self, _: usize, var: &Var, gradient: &Tensor, with: Update) -> Result<()> {
///         Ok(var.set(&(var.as_detached_tensor() - (gradient.sign()? * with.learning_rate)?)?)?)
///     }
/// }
///
/// let x = Var::from_tensor(&Tensor::new(&[3f32, -1.], &Device::Cpu)?)?;
/// let mut updater = Updater::new(vec![("x".to_owned(), x.clone())], SignDescent)?;
/// updater.add(&x.sqr()?.sum_all()?.backward()?)?;
/// updater.step(1.)?;
/// assert_eq!(x.to_vec1::<f32>()?, [2.75, -0.75]);
/// # Ok::<(), npair_train::Error>(())
/// ```
pub trait Optimizer: Send {
    /// What messages call it.
    fn name(&self) -> &str;

    /// Learning rate at full height of the schedule.
    fn learning_rate(&self) -> f64;

    /// Decay of the weights per step, times the learning rate; on matrices and filters alone.
    fn weight_decay(&self) -> f64 {
        0.
    }

    /// Takes notice of the variables that it will move, in the order in which [`update`](Self::update) counts them.
    ///
    /// # Errors
    /// If it cannot move one of them, or its settings are out of range.
    fn attach(&mut self, variables: &[(String, Var)]) -> Result<()> {
        let _ = variables;
        Ok(())
    }

    /// A step begins: every variable with a gradient is updated once.
    fn begin_step(&mut self) {}

    /// Moves variable number `at` against its gradient.
    ///
    /// # Errors
    /// Those of candle.
    fn update(&mut self, at: usize, var: &Var, gradient: &Tensor, with: Update) -> Result<()>;

    /// What it remembers, by name (`VARIABLE/KIND`), and the number of steps.
    ///
    /// # Errors
    /// Those of candle.
    fn state(&self) -> Result<(HashMap<String, Tensor>, u64)> {
        Ok((HashMap::new(), 0))
    }

    /// Goes on from a saved state; the error says what is missing or does not fit.
    ///
    /// # Errors
    /// What is missing or does not fit.
    fn restore(&mut self, tensors: &HashMap<String, Tensor>, steps: u64) -> std::result::Result<(), String> {
        let _ = (tensors, steps);
        Ok(())
    }
}

impl Optimizer for Box<dyn Optimizer> {
    fn name(&self) -> &str {
        (**self).name()
    }
    fn learning_rate(&self) -> f64 {
        (**self).learning_rate()
    }
    fn weight_decay(&self) -> f64 {
        (**self).weight_decay()
    }
    fn attach(&mut self, variables: &[(String, Var)]) -> Result<()> {
        (**self).attach(variables)
    }
    fn begin_step(&mut self) {
        (**self).begin_step();
    }
    fn update(&mut self, at: usize, var: &Var, gradient: &Tensor, with: Update) -> Result<()> {
        (**self).update(at, var, gradient, with)
    }
    fn state(&self) -> Result<(HashMap<String, Tensor>, u64)> {
        (**self).state()
    }
    fn restore(&mut self, tensors: &HashMap<String, Tensor>, steps: u64) -> std::result::Result<(), String> {
        (**self).restore(tensors, steps)
    }
}

/// What a variable's update is scaled with.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Update {
    /// What the gradient is multiplied by first: the mean over batches, and clipping.
    pub gradient_scale: f64,
    /// The learning rate of this variable in this step.
    pub learning_rate: f64,
    /// Decay of this variable per step, times the learning rate.
    pub weight_decay: f64,
}

/// Values that are moved by one thread; a fixed number, so that sums do not depend on how many threads there are.
const PART: usize = 1 << 14;

/// The setting, unless it is in range.
fn in_range(setting: &'static str, got: f64, low: f64, high: f64) -> Result<()> {
    if (low..=high).contains(&got) {
        return Ok(());
    }
    let why = match high == f64::MAX {
        true if low > 0. => format!("is {got:?}, but has to be a finite number above 0"),
        true => format!("is {got:?}, but has to be a finite number from {low}"),
        false if high < 1. => format!("is {got:?}, but has to be at least {low} and less than 1"),
        false => format!("is {got}, but has to be a number from {low} to {high}"),
    };
    Err(crate::Error::Setting { setting, why })
}
