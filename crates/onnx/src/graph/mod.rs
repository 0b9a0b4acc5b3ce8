//! A graph under construction, in the words that networks are described with.

mod image;
mod pointwise;
mod pool;
mod token;

pub(crate) use image::Step;

use crate::proto::{Attribute, Constant, Model, NodeProto, Values};
use crate::weights::{Weights, floats};
use crate::{Error, Result};
use candle_core::Tensor;
use std::collections::{BTreeMap, BTreeSet};

/// A tensor on its way through the graph: its name and its shape behind the batch.
#[derive(Debug, Clone)]
pub(crate) struct Value {
    name: String,
    dims: Vec<usize>,
}

impl Value {
    /// Its shape behind the batch.
    pub(crate) fn dims(&self) -> &[usize] {
        &self.dims
    }

    /// Channels, height and width of an image.
    fn image(&self) -> Result<[usize; 3]> {
        match self.dims[..] {
            [channels, height, width] => Ok([channels, height, width]),
            _ => Err(self.wrong("an image (channels, height, width) is needed")),
        }
    }

    /// Number and width of tokens.
    fn tokens(&self) -> Result<[usize; 2]> {
        match self.dims[..] {
            [tokens, width] => Ok([tokens, width]),
            _ => Err(self.wrong("tokens (number, width) are needed")),
        }
    }

    fn wrong(&self, want: impl Into<String>) -> Error {
        wrong(&self.name, &self.dims, want)
    }
}

fn wrong(at: &str, got: &[usize], want: impl Into<String>) -> Error {
    Error::Shape { at: at.to_owned(), got: got.to_vec(), want: want.into() }
}

/// Settings of a node.
type Attributes = Vec<(&'static str, Attribute)>;

/// Nodes in the order in which they run, and the weights that nobody has taken yet.
#[derive(Debug)]
pub(crate) struct Graph {
    weights: Weights,
    /// What all names of weights begin with.
    prefix: String,
    input: Value,
    nodes: Vec<NodeProto>,
    constants: Vec<Constant>,
    /// Names of the numbers that several nodes share.
    shared: BTreeSet<String>,
}

impl Graph {
    /// A graph whose input has that name and that shape behind the batch.
    pub(crate) fn new(weights: BTreeMap<String, Tensor>, input: &str, dims: &[usize]) -> Result<(Self, Value)> {
        let input = Value { name: input.to_owned(), dims: dims.to_vec() };
        let (nodes, constants, shared) = Default::default();
        let weights = Weights::new(weights)?;
        Ok((Self { weights, prefix: String::new(), input: input.clone(), nodes, constants, shared }, input))
    }

    /// From now on, what names of weights begin with.
    pub(crate) fn set_prefix(&mut self, prefix: &str) {
        prefix.clone_into(&mut self.prefix);
    }

    /// Whether there is a weight of that name that nobody has taken.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.weights.has(&self.full(name))
    }

    /// The file.
    pub(crate) fn file(
        mut self,
        name: &str,
        output: Value,
        called: &str,
        facts: &[(String, String)],
    ) -> Result<Vec<u8>> {
        self.weights.expect_none()?;
        let mut seen = BTreeSet::new();
        if let Some((key, _)) = facts.iter().find(|(key, _)| !seen.insert(key)) {
            return Err(Error::Fact { key: key.clone() });
        }
        // Nothing comes after the output, so that only the node that makes it knows its name.
        for made in self.nodes.iter_mut().flat_map(|node| &mut node.outputs).filter(|made| **made == output.name) {
            called.clone_into(made);
        }
        let ends = [(self.input.name.as_str(), &self.input.dims[..]), (called, &output.dims[..])];
        Ok(Model { name, nodes: &self.nodes, constants: &self.constants, ends, facts }.bytes())
    }

    fn full(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// A weight of the network.
    fn take(&mut self, name: &str) -> Result<Tensor> {
        self.weights.take(&self.full(name))
    }

    /// A weight of the network as it is, within the file under its own name: that name and its shape.
    fn weight(&mut self, name: &str) -> Result<Value> {
        let tensor = self.take(name)?;
        self.keep(self.full(name), &tensor)
    }

    /// A weight that has to be a row of so many numbers: its name.
    fn row(&mut self, name: &str, count: usize) -> Result<String> {
        let Value { name, dims } = self.weight(name)?;
        if dims != [count] {
            return Err(wrong(&name, &dims, format!("[{count}] is needed")));
        }
        Ok(name)
    }

    /// A tensor within the file.
    fn keep(&mut self, name: String, tensor: &Tensor) -> Result<Value> {
        let dims = tensor.dims().to_vec();
        self.constants.push(Constant {
            name: name.clone(),
            dims: dims.clone(),
            values: Values::Floats(floats(tensor)?),
        });
        Ok(Value { name, dims })
    }

    /// Numbers that are no weights, under a name that says them; those of one name lie in the file once.
    fn share(&mut self, name: String, dims: Vec<usize>, values: Values) -> String {
        if self.shared.insert(name.clone()) {
            self.constants.push(Constant { name: name.clone(), dims, values });
        }
        name
    }

    /// A row of integers: a shape, axes.
    fn ints(&mut self, values: &[i64]) -> String {
        let name = values.iter().fold("ints".to_owned(), |name, value| format!("{name}_{value}"));
        self.share(name, vec![values.len()], Values::Ints(values.to_vec()))
    }

    /// One integer.
    fn int(&mut self, value: i64) -> String {
        self.share(format!("int_{value}"), vec![], Values::Ints(vec![value]))
    }

    /// One number.
    fn float(&mut self, value: f64) -> String {
        // As an f32 has it: two that are one number there are one constant.
        let value = value as f32;
        self.share(format!("float_{value:?}"), vec![], Values::Floats(vec![value]))
    }

    /// A node that is a layer of the network, under the layer's name; returns what it makes.
    fn layer(
        &mut self,
        name: &str,
        op: &'static str,
        inputs: &[&str],
        attributes: Attributes,
        dims: Vec<usize>,
    ) -> Value {
        let name = self.full(name);
        self.push(name.clone(), op, inputs, attributes, vec![name.clone()]);
        Value { name, dims }
    }

    /// Any other node, under a name of its own; returns what it makes.
    fn op(&mut self, op: &'static str, inputs: &[&str], attributes: Attributes, dims: Vec<usize>) -> Value {
        let name = self.fresh(op);
        self.push(name.clone(), op, inputs, attributes, vec![name.clone()]);
        Value { name, dims }
    }

    /// A name that no other node has: nodes are only added.
    fn fresh(&self, op: &str) -> String {
        format!("{}_{}", op.to_lowercase(), self.nodes.len())
    }

    fn push(&mut self, name: String, op: &'static str, inputs: &[&str], attributes: Attributes, outputs: Vec<String>) {
        let inputs = inputs.iter().map(|&name| name.to_owned()).collect();
        self.nodes.push(NodeProto { name, op, inputs, outputs, attributes });
    }
}

/// Integers as a setting.
fn ints(values: impl IntoIterator<Item = usize>) -> Attribute {
    Attribute::Ints(values.into_iter().map(|value| value as i64).collect())
}
