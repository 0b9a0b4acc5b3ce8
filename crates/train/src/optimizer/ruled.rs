//! An optimizer that is a rule for a part of a variable.

use super::memory::Memory;
use super::tensors::Whole;
use super::{Update, slices};
use crate::Result;
use candle_core::{Tensor, Var};
use std::collections::HashMap;

/// A part of a variable on its way: values, gradient, and the optimizer's memory, of one length.
pub(super) struct Cell<'a, 'm> {
    pub(super) value: &'a mut [f32],
    pub(super) grad: &'a [f32],
    pub(super) memory: &'a mut [&'m mut [f32]],
    /// What the gradient is multiplied by.
    pub(super) scale: f64,
    /// What decoupled weight decay leaves of the value.
    pub(super) keep: f64,
    /// How much of the value a coupled one adds to the gradient.
    pub(super) pull: f64,
}

impl Cell<'_, '_> {
    /// What decoupled weight decay leaves of a value and its step together, where the decayed value is the one behind the step:
    /// `1 / (1 + rate decay)`.
    pub(super) fn left_of_both(&self) -> f64 {
        (2. - self.keep).recip()
    }
}

/// How a step moves a variable.
pub(super) trait Rule: Send + Sync {
    /// Names of the values remembered per entry.
    fn memory(&self) -> &'static [&'static str];
    /// Whether weights decay through the gradient.
    fn couples_decay(&self) -> bool {
        false
    }
    /// Moves a part at learning rate `rate`; `step` counts from 1.
    fn update(&self, cell: Cell, rate: f64, step: u64);
    /// The same of a whole variable on a device: the new value, and the memory in its place; no value if it was changed in its
    /// place, too.
    fn update_whole(&self, whole: Whole, rate: f64, step: u64) -> candle_core::Result<Option<Tensor>>;
}

/// The memory of a rule, and its steps. On the CPU the formulas are those of f64 on f32 values; on a device they are tensor
/// operations in f32.
pub(super) struct Ruled<R> {
    pub(super) rule: R,
    names: Vec<(String, Var)>,
    memory: Vec<Memory>,
    steps: u64,
}

impl<R: Rule> Ruled<R> {
    pub(super) fn new(rule: R) -> Self {
        Self { rule, names: Vec::new(), memory: Vec::new(), steps: 0 }
    }

    pub(super) fn attach(&mut self, variables: &[(String, Var)]) -> Result<()> {
        let kinds = self.rule.memory().len();
        self.memory = variables.iter().map(|(_, v)| Memory::new(v, kinds)).collect::<candle_core::Result<_>>()?;
        self.names = variables.to_vec();
        Ok(())
    }

    pub(super) fn begin_step(&mut self) {
        self.steps += 1;
    }

    pub(super) fn update(&mut self, at: usize, var: &Var, grad: &Tensor, with: Update) -> Result<()> {
        let Update { gradient_scale: scale, learning_rate: rate, weight_decay } = with;
        let (steps, rule) = (self.steps, &self.rule);
        let (keep, pull) = if rule.couples_decay() { (1., weight_decay) } else { (1. - rate * weight_decay, 0.) };
        match &mut self.memory[at] {
            Memory::Host(memory) => slices::change(var, grad, memory, &|value, grad, memory| {
                rule.update(Cell { value, grad, memory, scale, keep, pull }, rate, steps);
            })?,
            Memory::Device(memory) => {
                let whole = Whole { value: &var.as_detached_tensor(), grad, memory, scale, keep, pull };
                if let Some(value) = rule.update_whole(whole, rate, steps)? {
                    var.set(&value)?;
                }
            }
        }
        Ok(())
    }

    pub(super) fn state(&self) -> Result<(HashMap<String, Tensor>, u64)> {
        let mut out = HashMap::new();
        for ((name, var), memory) in self.names.iter().zip(&self.memory) {
            for (kind, values) in self.rule.memory().iter().zip(memory.tensors(var)?) {
                out.insert(format!("{name}/{kind}"), values);
            }
        }
        Ok((out, self.steps))
    }

    pub(super) fn restore(&mut self, tensors: &HashMap<String, Tensor>, steps: u64) -> std::result::Result<(), String> {
        for ((name, var), memory) in self.names.iter().zip(&mut self.memory) {
            for (at, kind) in self.rule.memory().iter().enumerate() {
                let key = format!("{name}/{kind}");
                let saved = tensors.get(&key).ok_or(format!("{key} is missing"))?;
                if saved.shape() != var.shape() {
                    return Err(format!("{key} has shape {:?} instead of {:?}", saved.dims(), var.dims()));
                }
                memory.set(at, saved, var).map_err(|e| e.to_string())?;
            }
        }
        self.steps = steps;
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn memory_mut(&mut self) -> &mut Vec<Memory> {
        &mut self.memory
    }
}

/// An optimizer around a rule: everything but its name and settings is the rule's.
macro_rules! optimizer_of_rule {
    ($optimizer:ty, $name:literal) => {
        impl $crate::Optimizer for $optimizer {
            fn name(&self) -> &str {
                $name
            }
            fn learning_rate(&self) -> f64 {
                self.settings.learning_rate
            }
            fn weight_decay(&self) -> f64 {
                self.settings.weight_decay
            }
            fn attach(&mut self, variables: &[(String, candle_core::Var)]) -> $crate::Result<()> {
                self.ruled.attach(variables)
            }
            fn begin_step(&mut self) {
                self.ruled.begin_step();
            }
            fn update(
                &mut self,
                at: usize,
                var: &candle_core::Var,
                gradient: &candle_core::Tensor,
                with: $crate::Update,
            ) -> $crate::Result<()> {
                self.ruled.update(at, var, gradient, with)
            }
            fn state(&self) -> $crate::Result<(std::collections::HashMap<String, candle_core::Tensor>, u64)> {
                self.ruled.state()
            }
            fn restore(
                &mut self,
                tensors: &std::collections::HashMap<String, candle_core::Tensor>,
                steps: u64,
            ) -> std::result::Result<(), String> {
                self.ruled.restore(tensors, steps)
            }
        }
    };
}

pub(super) use optimizer_of_rule;
