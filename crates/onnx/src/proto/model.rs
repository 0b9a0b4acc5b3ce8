//! The messages of an ONNX file, with the field numbers of `onnx.proto`.

use super::wire::Wire;

/// The set of operators that the graphs are made of, and the version of the format that came with it.
const OPSET: i64 = crate::OPSET;
const IR_VERSION: i64 = 8;

/// Number types.
const FLOAT: i64 = 1;
const INT64: i64 = 7;

/// A setting of a node.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Attribute {
    Int(i64),
    Ints(Vec<i64>),
    Float(f32),
}

impl Attribute {
    fn write(&self, name: &str, wire: &mut Wire) {
        wire.text(1, name);
        let kind = match self {
            Self::Float(value) => {
                wire.float(2, *value);
                1
            }
            Self::Int(value) => {
                wire.int(3, *value);
                2
            }
            Self::Ints(values) => {
                values.iter().for_each(|&value| wire.int(8, value));
                7
            }
        };
        wire.int(20, kind);
    }
}

/// An operation.
#[derive(Debug)]
pub(crate) struct NodeProto {
    pub name: String,
    pub op: &'static str,
    pub inputs: Vec<String>,
    pub outputs: Vec<String>,
    pub attributes: Vec<(&'static str, Attribute)>,
}

impl NodeProto {
    fn write(&self, wire: &mut Wire) {
        self.inputs.iter().for_each(|name| wire.text(1, name));
        self.outputs.iter().for_each(|name| wire.text(2, name));
        wire.text(3, &self.name);
        wire.text(4, self.op);
        for (name, attribute) in &self.attributes {
            wire.message(5, |wire| attribute.write(name, wire));
        }
    }
}

/// Numbers within the file.
#[derive(Debug)]
pub(crate) enum Values {
    Floats(Vec<f32>),
    Ints(Vec<i64>),
}

/// A tensor within the file: an initializer.
#[derive(Debug)]
pub(crate) struct Constant {
    pub name: String,
    pub dims: Vec<usize>,
    pub values: Values,
}

impl Constant {
    fn bytes(&self) -> usize {
        match &self.values {
            Values::Floats(values) => 4 * values.len(),
            Values::Ints(values) => 8 * values.len(),
        }
    }

    fn write(&self, wire: &mut Wire) {
        self.dims.iter().for_each(|&dim| wire.int(1, dim as i64));
        wire.int(2, if matches!(self.values, Values::Floats(_)) { FLOAT } else { INT64 });
        wire.text(8, &self.name);
        match &self.values {
            Values::Floats(values) => wire.numbers(9, values.iter().map(|v| v.to_le_bytes())),
            Values::Ints(values) => wire.numbers(9, values.iter().map(|v| v.to_le_bytes())),
        }
    }
}

/// All of a file.
#[derive(Debug)]
pub(crate) struct Model<'a> {
    /// What the graph is called.
    pub name: &'a str,
    pub nodes: &'a [NodeProto],
    pub constants: &'a [Constant],
    /// Name and shape behind the batch of what comes in and of what goes out.
    pub ends: [(&'a str, &'a [usize]); 2],
    pub facts: &'a [(String, String)],
}

impl Model<'_> {
    /// The file.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let weights: usize = self.constants.iter().map(Constant::bytes).sum();
        // Some hundred bytes for a node and for what is said about a tensor.
        let mut wire = Wire::with_room(weights + 512 * (1 + self.nodes.len() + self.constants.len()));
        wire.int(1, IR_VERSION);
        wire.text(2, "npair");
        wire.text(3, env!("CARGO_PKG_VERSION"));
        wire.message(7, |wire| self.write_graph(wire));
        // The empty domain is ONNX's own.
        wire.message(8, |wire| {
            wire.text(1, "");
            wire.int(2, OPSET);
        });
        for (key, value) in self.facts {
            wire.message(14, |wire| {
                wire.text(1, key);
                wire.text(2, value);
            });
        }
        wire.into_bytes()
    }

    fn write_graph(&self, wire: &mut Wire) {
        for node in self.nodes {
            wire.message(1, |wire| node.write(wire));
        }
        wire.text(2, self.name);
        for constant in self.constants {
            wire.message(5, |wire| constant.write(wire));
        }
        for ((name, dims), field) in self.ends.iter().zip([11, 12]) {
            wire.message(field, |wire| {
                wire.text(1, name);
                // Type, tensor type.
                wire.message(2, |wire| wire.message(1, |wire| write_tensor_type(dims, wire)));
            });
        }
    }
}

/// Floats of this shape behind a batch of any size.
fn write_tensor_type(dims: &[usize], wire: &mut Wire) {
    wire.int(1, FLOAT);
    wire.message(2, |wire| {
        wire.message(1, |wire| wire.text(2, "batch"));
        for &dim in dims {
            wire.message(1, |wire| wire.int(1, dim as i64));
        }
    });
}
