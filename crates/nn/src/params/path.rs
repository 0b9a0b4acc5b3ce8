use super::{Init, Parameter, Params, name};
use crate::Result;
use candle_core::{Shape, Var};
use npair_types::Purpose;

/// A place in a network: makes parameters whose names begin with the place's name.
#[derive(Debug, Clone)]
pub struct Path {
    params: Params,
    name: String,
}

impl Path {
    pub(super) fn root(params: Params) -> Self {
        Self { params, name: String::new() }
    }

    /// The place `name` below this one.
    pub fn child(&self, name: impl std::fmt::Display) -> Self {
        Self { params: self.params.clone(), name: self.full(&name.to_string()) }
    }

    /// The full name of the place, its parts separated by dots.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The store that the place belongs to.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// A number that stands for the full name, the same in every build: the place of a dropout layer's stream.
    pub(crate) fn key(&self) -> u64 {
        name::hash(&self.name)
    }

    /// A new trainable variable.
    ///
    /// # Errors
    /// [`crate::Error::Duplicate`] if the name is taken.
    pub fn trainable(&self, name: &str, shape: impl Into<Shape>, init: Init) -> Result<Parameter> {
        let (full, shape) = (self.full(name), shape.into());
        let mut rng = self.params.0.streams.open(Purpose::Initialisation, [name::hash(&full), 0]);
        let values = init.draw(shape.dims(), &mut rng);
        let parameter = Parameter::new(self.params.variable(values, shape.dims())?);
        self.params.insert(full, parameter.var().clone(), Some(parameter.clone()))?;
        Ok(parameter)
    }

    /// A new buffer: saved and loaded with the network, but nothing that trains.
    ///
    /// # Errors
    /// [`crate::Error::Duplicate`] if the name is taken.
    pub fn buffer(&self, name: &str, shape: impl Into<Shape>, fill: f64) -> Result<Var> {
        let shape = shape.into();
        let var = self.params.variable(vec![fill; shape.elem_count()], shape.dims())?;
        self.params.insert(self.full(name), var.clone(), None)?;
        Ok(var)
    }

    fn full(&self, name: &str) -> String {
        if self.name.is_empty() { name.to_owned() } else { format!("{}.{name}", self.name) }
    }
}
