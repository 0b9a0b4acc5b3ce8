use super::{Init, Parameter, VarMap, name};
use crate::Result;
use candle_core::{Shape, Var};
use npair_types::Purpose;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Makes the parameters of a part of a network: their names begin with its prefix.
#[derive(Debug, Clone)]
pub struct VarBuilder {
    varmap: VarMap,
    prefix: String,
}

impl VarBuilder {
    pub(super) fn root(varmap: VarMap) -> Self {
        Self { varmap, prefix: String::new() }
    }

    /// The builder of the part `name`: prefixes are joined by a dot (pp: push prefix, as in candle).
    pub fn pp(&self, name: impl std::fmt::Display) -> Self {
        Self { varmap: self.varmap.clone(), prefix: self.full(&name.to_string()) }
    }

    /// What the names begin with, its parts separated by dots.
    pub fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Where the parameters are kept.
    pub fn varmap(&self) -> &VarMap {
        &self.varmap
    }

    /// Whether batch norms keep their running statistics: see [`VarMap::freeze_norms`].
    pub(crate) fn frozen_norms(&self) -> Arc<AtomicBool> {
        self.varmap.0.frozen_norms.clone()
    }

    /// A number that stands for the prefix, the same in every build: the key of a dropout layer's stream.
    pub(crate) fn key(&self) -> u64 {
        name::hash(&self.prefix)
    }

    /// A new trainable variable.
    ///
    /// # Errors
    /// [`crate::Error::Duplicate`] if the name is taken, [`crate::Error::Setting`] if the network becomes larger than
    /// [`MAX_VALUES`](super::MAX_VALUES).
    pub fn trainable(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Parameter> {
        let (full, shape) = (self.full(name), shape.into());
        self.varmap.expect_room(&full, shape.dims())?;
        let mut rng = self.varmap.0.streams.open(Purpose::Initialization, [name::hash(&full), 0]);
        let values = init.draw(shape.dims(), &mut rng);
        let parameter = Parameter::new(self.varmap.variable(values, shape.dims())?);
        self.varmap.insert(full, parameter.var().clone(), Some(parameter.clone()))?;
        Ok(parameter)
    }

    /// A new buffer: saved and loaded with the network, but nothing that trains.
    ///
    /// # Errors
    /// [`crate::Error::Duplicate`] if the name is taken.
    pub fn buffer(&self, name: &str, shape: impl Into<Shape>, fill: f64) -> Result<Var> {
        let shape = shape.into();
        let var = self.varmap.variable(vec![fill; shape.elem_count()], shape.dims())?;
        self.varmap.insert(self.full(name), var.clone(), None)?;
        Ok(var)
    }

    fn full(&self, name: &str) -> String {
        if self.prefix.is_empty() { name.to_owned() } else { format!("{}.{name}", self.prefix) }
    }
}
